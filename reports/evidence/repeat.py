"""Stages of a run directory that are run again, and how far from what it holds their files are."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from portproof.card import read_card
from portproof.core import progress
from portproof.core.errors import PortProofError
from portproof.core.files import sha256_of, write_text
from portproof.core.yamlfile import data_folder
from portproof.infer.offline.inference import run
from portproof.infer.timing.answers.tolerances import own, port
from portproof.metrics.outputs.output_files import OutputFiles, outputs_of
from portproof.preprocess.dataset.stream import prepare, sample_of
from portproof.preprocess.pixels.fingerprint import decoders
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import environment, versions_of
from portproof.recipe import Recipe
from portproof.reports.evidence.findings import changed, unverified
from portproof.rundir.layout import RunDir

if TYPE_CHECKING:
    from portproof.reports.evidence.challenge import Course


#: Results count as another side's if that side answers bit for bit again at least in this share of
#: the samples, and their own at most in that; in fewer samples an odd one would decide.
_REPEATS, _BREAKS, _LEAST = 0.8, 0.65, 10


class Again(msgspec.Struct, frozen=True):
    """A stage that was run again. ``equal``: of ``samples``, those that came out bit for bit;
    ``tolerance``: how far the others may be, as a part of the root mean square of a sample's
    outputs (None: only bytes count), and ``worst``: how far the farthest is, in these parts.
    """

    stage: str
    file: str
    what: str
    samples: int
    equal: int
    tolerance: float | None = None
    worst: float | None = None

    @property
    def text(self) -> str:
        """For people."""
        text = f"{self.file}: {self.what}"
        if self.stage in ("preprocess", "infer"):
            text += f", {self.equal} of {self.samples} samples bit for bit"
        if self.tolerance is not None and self.equal < self.samples:
            text += f", the others within {self.worst:.2g} ({self.tolerance:.2g} may be)"
        return text


def again(course: Course, images: Mapping[str, Path], folder: Path) -> Iterator[Again]:
    """Preprocess the images, and let every model that can run here answer."""
    yield _preprocessed(course, images, folder)
    info = folder / "drawn.info"
    lines = [f"{at} {folder / name}.bin" for at, name in enumerate(images)]
    write_text(info, "\n".join(lines) + "\n")
    answered: dict[str, Path] = {}
    for stage in course.made_by("infer"):
        why = _reason_not_to(course, stage)
        fresh = folder / stage.artefact.replace("/", "_")
        try:
            if not why:
                _infer(course, stage, info, fresh)
        except PortProofError as error:
            why = str(error)
        if why:
            course.unprovable(stage.artefact, f"it was not run again: {why}")
            continue
        answered[stage.artefact] = fresh
        yield _answers(course, stage, fresh, list(images))
    _copied(course, answered, list(images))


def _preprocessed(course: Course, images: Mapping[str, Path], folder: Path) -> Again:
    (stage,) = (s for s in course.made_by("preprocess") if s.artefact == "prep")
    parameters = stage.proof.parameters
    preprocessor = Preprocessor(msgspec.convert(parameters["recipe"], Recipe))
    same_decoders = parameters.get("decoders") == decoders()
    equal = 0
    for name, path in images.items():
        data = bytes(sample_of(prepare(path, course.run_dir, preprocessor)).data)
        (folder / f"{name}.bin").write_bytes(data)
        held = course.run_dir / stage.artefact / f"{name}.bin"
        if held.is_file() and held.read_bytes() == data:
            equal += 1
        elif same_decoders:
            what = "it is not what the recipe makes of its image"
            course.findings.append(changed(f"{stage.artefact}/{name}.bin", what))
        else:
            what = "the recipe gives other bytes here, where images are decoded by other versions"
            course.findings.append(unverified(f"{stage.artefact}/{name}.bin", what))
    return Again("preprocess", stage.artefact, "preprocessed again", len(images), equal)


def _reason_not_to(course: Course, stage: Stage) -> str | None:
    """Why an inference is not to be run again; None if it may be."""
    parameters = stage.proof.parameters
    if stage.proof.simulated:
        return "its device was simulated"
    if "backend" not in parameters:
        return f"'{stage.proof.command[0]}' is a vendor's tool, and its device is needed"
    return code_of(course, parameters.get("card"))


def code_of(course: Course, card: str | None) -> str | None:
    """Why code that came with the port is not run; None if there is none, or it may run."""
    if card is None or course.asked.runs_code:
        return None
    file = card.rpartition(":")[0]
    if file.endswith(".py"):
        return f"that would run the code of '{file}'; read it, and allow it with --run-code"
    path = Path(card)
    if not path.is_file() or path.resolve().is_relative_to(data_folder("examples").resolve()):
        return None
    builder = read_card(path).builder
    if ".py:" not in builder:
        return None
    return f"that would run the code of '{builder}'; read it, and allow it with --run-code"


def _infer(course: Course, stage: Stage, info: Path, fresh: Path) -> None:
    """Infer the drawn samples as the stage did, but from fresh samples."""
    known = ("backend", "batch", "card", "device", "precision", "threads", "options")
    settings = {name: stage.proof.parameters.get(name) for name in known}
    model = course.run_dir / stage.proof.inputs["model"][0].path
    with progress.silenced():
        run(model, info, fresh, form="bin", **settings)  # type: ignore[arg-type]


def _answers(course: Course, stage: Stage, fresh: Path, names: Sequence[str]) -> Again:
    """The fresh answers against those that the directory holds, sample by sample."""
    held = {o.files.output: o for o in outputs_of(course.run_dir / stage.artefact)}
    precision = str(stage.proof.facts.get("precision") or "fp32")
    same = stage.proof.versions == versions_of(list(stage.proof.versions))
    same = same and is_this_host(stage.proof.environment)
    floor = own(precision).floor if same else port(precision, precision).floor
    equal, worst = set(names), 0.0
    for output in outputs_of(fresh):
        other = held.get(output.files.output)
        if other is None:
            what = f"output {output.files.output} of the model is not there"
            course.findings.append(changed(stage.artefact, what))
            continue
        for name in names:
            apart = _apart(other, output, name)
            equal -= {name} if apart != 0.0 else set()
            worst = max(worst, apart)
            if apart > floor:
                course.findings.append(
                    changed(
                        f"{stage.artefact}/{name}_{output.files.output}",
                        f"the model answers otherwise: apart by {apart:.2g} of the size of its"
                        f" outputs, {floor:.2g} may be",
                    )
                )
    what = f"'{stage.proof.parameters['backend']}' answered again"
    return Again("infer", stage.artefact, what, len(names), len(equal), floor, worst)


def _apart(held: OutputFiles, fresh: OutputFiles, name: str) -> float:
    """The largest difference of a sample's output over its root mean square; infinite where the
    directory has none, or one of another size or with other NaN.
    """
    try:
        one, two = held.read(name).reshape(-1), fresh.read(name).reshape(-1)
    except (PortProofError, KeyError, OSError):
        return np.inf
    if one.size != two.size:
        return np.inf
    if np.array_equal(one, two, equal_nan=one.dtype.kind == "f"):
        return 0.0
    gap = np.abs(one.astype(np.float64) - two.astype(np.float64))
    size = float(np.sqrt(np.mean(two.astype(np.float64) ** 2)))
    return float(gap.max()) / size if size and np.isfinite(gap).all() else np.inf


def _copied(course: Course, answered: Mapping[str, Path], names: Sequence[str]) -> None:
    """Results that are another side's, bit for bit: those of the side that does not answer so
    itself. Two models may well agree to the last bit; then both answer so again, but for a sample
    whose sums are taken in another order.
    """
    precisions = {s.artefact: s.proof.facts.get("precision") for s in course.made_by("infer")}
    for one, other in itertools.permutations(precisions, 2):
        held = _bytes_of(course.run_dir / one, names)
        if not any(held):
            continue
        same_side = one.partition("/")[0] == other.partition("/")[0]
        if same_side or held != _bytes_of(course.run_dir / other, names) or len(names) < _LEAST:
            continue
        if one in answered and other in answered:
            own, theirs = (_equal(held, _bytes_of(answered[f], names)) for f in (one, other))
            if own >= _REPEATS * len(names) and theirs <= _BREAKS * len(names):
                what = f"its results are those of '{one}', bit for bit; run again, they differ"
                course.findings.append(changed(other, what))
        elif one in answered and precisions[one] != precisions[other]:
            what = f"its results are those of '{one}', bit for bit, in another precision"
            course.findings.append(unverified(other, what))


def _equal(one: Sequence[bytes], other: Sequence[bytes]) -> int:
    return sum(a == b for a, b in zip(one, other, strict=True))


def _bytes_of(folder: Path, names: Sequence[str]) -> list[bytes]:
    """The bytes of each sample's first output; empty where there are none."""
    found = dict.fromkeys(names, b"")
    with contextlib.suppress(PortProofError, OSError):
        output = outputs_of(folder)[0]
        for name in names:
            if name in output.files.ids:
                found[name] = output.read(name).tobytes()
    return list(found.values())


def exported_again(course: Course, folder: Path) -> Iterator[Again]:
    """The ONNX file again: the same bytes where the same versions write it."""
    from portproof.convert.export.export import export

    for stage in course.made_by("export"):
        parameters = stage.proof.parameters
        (weights, card) = (stage.proof.inputs[role][0].path for role in ("weights", "card"))
        why = code_of(course, str(course.run_dir / card))
        if why is None and stage.proof.versions != versions_of(list(stage.proof.versions)):
            why = "other versions are installed here, which write other bytes"
        fresh = folder / RunDir.onnx
        try:
            if why is None:
                with progress.silenced():
                    export(
                        course.run_dir / weights,
                        fresh,
                        str(course.run_dir / card),
                        opset=parameters["opset"],
                        batch=parameters["batch"],
                        simplify=parameters["simplify"],
                        fold_normalize=parameters["fold"],
                    )
        except PortProofError as error:
            why = str(error)
        if why:
            course.unprovable(stage.artefact, f"it was not exported again: {why}")
            continue
        equal = sha256_of(fresh) == sha256_of(course.run_dir / stage.artefact)
        if not equal:
            course.findings.append(
                changed(stage.artefact, "the same versions export other bytes from these weights")
            )
        yield Again("export", stage.artefact, "exported again", 1, int(equal))


def is_this_host(stated: Mapping[str, str]) -> bool:
    """Whether an environment that a sidecar or a measurement states is that of this host."""
    here = environment()
    return all(stated.get(key) == here[key] for key in ("machine", "processor", "cpus"))
