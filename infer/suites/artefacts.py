"""What a suite makes of a model: weights, the ONNX file in each precision, engines, and samples.
Each has its sidecar, so that a suite that was interrupted goes on where it was.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import yaml

from portproof import backend as backends
from portproof.backend import TensorSpec
from portproof.card import Card, Weights
from portproof.core.errors import InputError
from portproof.core.files import (
    atomic_writer,
    existing_file,
    existing_folder,
    write_bytes,
    write_text,
)
from portproof.infer.runtimes.model_files import builder_packages, card_files
from portproof.infer.suites.isolation import in_own_process
from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.subject import Subject
from portproof.preprocess.cards.resolve import resolve_card
from portproof.proof.work import Work

_SEED = 0
#: Random samples that int8 is calibrated on where no real ones are stated.
CALIBRATION_SAMPLES = 16


@dataclass(frozen=True)
class Artefacts:
    """The files of one model of a suite, in a folder of its own. Each is made when it is asked
    for.
    """

    suite: Suite
    entry: SuiteModel
    folder: Path

    @property
    def card(self) -> Card:
        """The model's card."""
        return resolve_card(self.entry.model)

    @property
    def weights_are_random(self) -> bool:
        """Whether nobody states weights, so that seeded random ones are made."""
        own_code = self.entry.model.startswith("engine:")
        return not (self.entry.weights or self.suite.weights or own_code)

    def without_checksum(self) -> Artefacts:
        """The same with a card that expects no published weights, where random ones are taken."""
        card = self.card
        if not self.weights_are_random or not (card.weights.md5 or card.weights.sha256):
            return self
        if ".py:" in card.builder:
            raise InputError(
                f"the card '{self.entry.model}' has the checksum of its weights, and the suite"
                " states none: state 'weights', or use a card without a checksum"
            )
        path = self.folder / "card.yaml"
        plain = msgspec.structs.replace(card, weights=Weights(), path=None)
        facts = {k: v for k, v in msgspec.to_builtins(plain).items() if v is not None}
        text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            write_text(path, text)
        return replace(self, entry=msgspec.structs.replace(self.entry, model=str(path)))

    def subject(self, wanted: SuiteSubject, batches: tuple[int, ...]) -> Subject:
        """A column's subject, with the file that its backend opens."""
        return Subject(
            wanted.label,
            wanted.backend,
            str(self._file(wanted, batches)),
            wanted.device,
            _asked(wanted),
            wanted.threads,
            wanted.options,
        )

    def _file(self, wanted: SuiteSubject, batches: tuple[int, ...]) -> Path:
        if wanted.file is not None:
            return existing_file(wanted.file, f"model file of '{wanted.label}'")
        suffixes = backends.find(wanted.backend).SUFFIXES
        if ".onnx" in suffixes:
            lower = wanted.precision in ("int8", "fp16") and wanted.backend in ("ort", "openvino")
            return self._reduced(str(wanted.precision)) if lower else self.onnx()
        if ".plan" in suffixes:
            return self._engine(wanted, batches)
        if ".pth" not in suffixes and suffixes:
            raise InputError(
                f"the backend '{wanted.backend}' opens {', '.join(suffixes)}, which a suite does"
                " not make: give the subject a 'file'"
            )
        return self.weights()

    def weights(self) -> Path:
        """The model's weights: the stated file, or what its builder makes, once (random values of
        a fixed seed, or those that a user's loader brings).
        """
        if self.entry.weights is not None:
            return existing_file(self.entry.weights, "weights")
        if self.suite.weights is not None:
            if self.card.weights.file is None:
                raise InputError(
                    f"the card '{self.entry.model}' names no weights file, and the suite takes"
                    f" weights from '{self.suite.weights}'"
                )
            return existing_file(Path(self.suite.weights, self.card.weights.file), "weights")
        path = self.folder / "weights.pth"
        work = Work(
            "weights",
            path,
            inputs=card_files(self.entry.model),
            parameters={"card": self.entry.model, "seed": _SEED},
            packages=("torch", *builder_packages(self.entry.model)),
        )
        if not work.is_done():
            import torch

            from portproof.convert.pytorch.models import build_model

            work.begin()
            torch.manual_seed(_SEED)
            with atomic_writer(path) as file:
                torch.save(build_model(self.card, None).state_dict(), file)
            work.finish([path])
        return path

    @property
    def onnx_file(self) -> Path:
        """Where the fp32 ONNX file is, once it is made."""
        if self.entry.model.startswith("engine:"):
            from portproof.infer.suites.free_shapes import path_of

            return path_of(self.entry.model, self.folder)
        return self.folder / "model.onnx"

    def onnx(self) -> Path:
        """The fp32 ONNX file, compared with PyTorch at two batches by the exporter."""
        if self.entry.model.startswith("engine:"):
            from portproof.infer.suites.free_shapes import export_free

            return export_free(self.entry.model, self.weights(), self.folder)
        from portproof.convert.export.export import export

        path = self.onnx_file
        export(self.weights(), path, self.entry.model, opset=self.suite.opset)
        return path

    def _reduced(self, precision: str) -> Path:
        from portproof.convert.precision.reduce import ReduceRequest, reduce

        path = self.folder / f"model_{precision}.onnx"
        samples = self.samples(CALIBRATION_SAMPLES)
        # Runtimes have crashed on unusual graphs while they calibrated.
        in_own_process(reduce, ReduceRequest(self.onnx(), path, precision, samples))
        return path

    def _engine(self, wanted: SuiteSubject, batches: tuple[int, ...]) -> Path:
        """TensorRT's engines: one a batch, or one for all sizes of a model with free ones."""
        from portproof.convert.nvidia.engines import EngineRequest, convert
        from portproof.convert.nvidia.package import tensorrt

        tensorrt("the suite's engines")  # before anything is made for it
        profile: tuple[str, ...] = ()
        if self.entry.model.startswith("engine:"):
            from portproof.preprocess.cards.engine_cards import profile_of

            profile = profile_of(self.entry.model)
        request = EngineRequest(
            self.onnx(),
            str(self.folder / f"engines_{wanted.precision or 'fp32'}"),
            batches,
            wanted.precision or "fp32",
            "python",
            profile,
        )
        convert(request)
        return Path(str(request.engine(None if profile else 0)).replace("_bs0", "_bs{batch}"))

    def samples(self, count: int) -> Path:
        """An info list: the stated one, of the stated images, or of ``count`` random samples."""
        if self.entry.info is not None:
            return existing_file(self.entry.info, "info list")
        if self.suite.images is not None:
            return self._of_images(Path(self.suite.images))
        return self._random(count)

    def examples(self) -> Path | None:
        """An info list of the inputs that an engine's loader brings, made ready by its
        ``preprocess``; None where it has none, or where they are of another size.
        """
        if not self.entry.model.startswith("engine:"):
            return None
        from portproof.convert.pytorch.from_engine import example_inputs

        specs = self.card.inputs
        arrays = example_inputs(self.entry.model)
        if [tuple(a.shape[1:]) for a in arrays] != [tuple(i.shape) for i in specs]:
            return None
        lines, info = [], self.folder / "examples.info"
        for at in range(len(arrays[0])):
            for place, (array, spec) in enumerate(zip(arrays, specs, strict=True)):
                path = self.folder / "examples" / f"e{at:04d}{f'i{place}' if place else ''}.bin"
                sample = np.ascontiguousarray(array[at], dtype=spec.dtype).tobytes()
                if not path.is_file() or path.read_bytes() != sample:
                    write_bytes(path, sample)
                lines.append(f"{at} {path}")
        write_text(info, "\n".join(lines) + "\n")
        return info

    def _of_images(self, images: Path) -> Path:
        from portproof.preprocess.dataset.info_list import bin_samples, write_listing
        from portproof.preprocess.dataset.make import make_bins
        from portproof.preprocess.dataset.stream import default_workers

        recipe = self.card.preprocessing
        target, info = self.folder / "prep", self.folder / "prep.info"
        existing_folder(images, "images")
        make_bins(images, target, recipe, workers=default_workers(), model=self.entry.model)
        height, width = recipe.crop or recipe.shape[-2:]
        write_listing(info, str(target), bin_samples(str(target), width, height))
        return info

    def _random(self, count: int) -> Path:
        """Seeded samples as a bench makes them, a file an input."""
        folder, info = self.folder / "samples", self.folder / f"samples_{count}.info"
        specs = [TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in self.card.inputs]
        facts = {"count": count, "inputs": [[s.name, s.dtype, s.sample_shape] for s in specs]}
        work = Work("samples", info, inputs={}, parameters=facts)
        if work.is_done():
            return info
        work.begin()
        rows = Feeding("random", None, {}).batches(specs, count)[0]
        lines = []
        for at in range(count):
            for place, spec in enumerate(specs):
                path = folder / f"s{at:04d}{f'i{place}' if place else ''}.bin"
                write_bytes(path, np.ascontiguousarray(rows[spec.name][at]).tobytes())
                lines.append(f"{at} {path}")
        write_text(info, "\n".join(lines) + "\n")
        work.finish([info])
        return info


def _asked(wanted: SuiteSubject) -> str | None:
    """The precision that the backend is asked for: of ONNX Runtime it is the file's, and a float16
    file is computed in float32 on a processor.
    """
    return None if wanted.backend in ("ort", "trt") else wanted.precision
