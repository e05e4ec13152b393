"""The two sides of a task's diagnosis: the reference run over the samples, and the port's results
or ready predictions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof import backend as backends
from portproof.backend import LoadRequest, check_feeds, complete
from portproof.card import Card
from portproof.core import plugins, progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.manifest import read_info, sample_id
from portproof.metrics.decoding.arrays import Decode, Sample
from portproof.metrics.evaluation.task_choice import card_of
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.truth import Truth
from portproof.postprocess import Boxes, LabelMap, Postprocess, Regions, kind_of
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe

Array = NDArray[Any]
Outputs = dict[str, Array]
_BATCH = 8


class Runner:
    """The reference on its usual backend. ``run``: inputs (one array an input, with the batch) to
    outputs of each sample, named as the card names them.
    """

    def __init__(self, model: Path, card: str) -> None:
        existing_file(model, "reference model")
        backend = backends.find(backends.default_for(model))
        request = LoadRequest(batch=_BATCH, card=card, spinning=False)
        self._session = backend.load(model, request)
        self._inputs = complete(self._session.inputs, sample_shapes(card))
        self._names = [o.name for o in card_of(card).outputs]
        self._fixed = self._inputs[0].shape[0]

    def run(self, samples: Sequence[Sequence[Array]]) -> list[Outputs]:
        """The outputs of every sample, without the batch."""
        size, made = self._fixed or _BATCH, list[Outputs]()
        for first in range(0, len(samples), size):
            part = list(samples[first : first + size])
            filled = part + [part[-1]] * (size - len(part) if self._fixed else 0)
            feeds = {
                spec.name: np.ascontiguousarray(np.stack([s[i] for s in filled]), spec.dtype)
                for i, spec in enumerate(self._inputs)
            }
            check_feeds(feeds, self._inputs)
            outputs = list(self._session.run(feeds).values())
            names = self._names if len(self._names) == len(outputs) else map(str, range(99))
            named = dict(zip(names, outputs, strict=False))
            made += [{n: a[i] for n, a in named.items()} for i in range(len(part))]
        return made


class Inputs:
    """The samples of a card with a recipe (pictures) or a sequence (texts, sound): ``ids``, and
    the arrays of each.
    """

    def __init__(self, card: Card, given: Path, wanted: Sequence[str]) -> None:
        self.card = card
        self.parts = card.sequence.parts if card.sequence is not None else ()
        if card.recipe is not None:
            paths = {sample_id(path): path for path in find_images(given)}
            self.ids = [i for i in wanted if i in paths]
            self._paths = [paths[i] for i in self.ids]
        elif card.sequence is not None:
            known = dict(_encoded(card, given))
            self.ids = [i for i in wanted if i in known]
            self._arrays = [known[i] for i in self.ids]
        else:
            raise InputError(
                f"the card '{card.name}' has no recipe and no sequence, so that its inputs cannot"
                " be made otherwise; compare the outputs with compare --outputs"
            )

    def keep(self, at: NDArray[np.int64]) -> None:
        """Go on with the samples at these places only."""
        self.ids = [self.ids[i] for i in at]
        if self.card.recipe is not None:
            self._paths = [self._paths[i] for i in at]
        else:
            self._arrays = [self._arrays[i] for i in at]

    def arrays(self, count: int, mistake: Any = None) -> list[list[Array]]:
        """The arrays of the first samples, as the card says or with a mistake."""
        if self.card.recipe is not None:
            recipe = self.card.preprocessing
            plain = Preprocessor(recipe)
            make = mistake.apply if isinstance(mistake, Mistake) else lambda d: plain(d)[0]
            return [[make(p.read_bytes()).reshape(recipe.shape)] for p in self._paths[:count]]
        made = []
        for arrays in self._arrays[:count]:
            parts = dict(zip(self.parts, arrays, strict=True))
            changed = mistake.apply(parts) if mistake is not None else parts
            made.append([changed[n] for n in self.parts])
        return made


def _encoded(card: Card, given: Path) -> Iterator[tuple[str, list[Array]]]:
    """The arrays of each text or recording, as 'portproof encode' makes them."""
    from portproof.preprocess.dataset.sequence_files import encode_files

    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder, "prep.info")
        encode_files(given, card, Path(folder, "prep"), info)
        for sample in read_info(info):
            yield (
                sample.id,
                [
                    np.fromfile(file, spec.dtype).reshape(spec.shape)
                    for file, spec in zip(sample.files, card.inputs, strict=True)
                ],
            )


@dataclass(frozen=True)
class Judge:
    """Makes predictions and contributions of outputs by a record."""

    task: Any
    truth: Truth
    card: Card
    folder: Path

    def decode(self, record: Postprocess) -> Decode:
        """The record's decoder."""
        module = plugins.load(
            "portproof.metrics.postprocess", kind_of(record), "kind of post-processing"
        )
        made: Decode = module.decoder(record, self.folder)
        return made

    def predictions(self, record: Postprocess, outputs: Mapping[str, Outputs]) -> dict[str, Any]:
        """The prediction for each sample; :class:`InputError` where the record does not fit."""
        decode = self.decode(record)
        with np.errstate(all="ignore"):
            return {i: decode(o, self.sample(i, record)) for i, o in outputs.items()}

    def contributions(self, record: Postprocess, outputs: Mapping[str, Outputs]) -> dict[str, Any]:
        """What each sample adds; :class:`InputError` where the record does not fit."""
        made = self.predictions(record, outputs)
        with np.errstate(all="ignore"):
            return {i: self.judged(i, p) for i, p in made.items()}

    def answers(self, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """What is compared of predictions: detections themselves, of others what they add."""
        with np.errstate(all="ignore"):
            return {
                i: {"detections": p} if isinstance(p, Detections) else self.judged(i, p)
                for i, p in predictions.items()
            }

    def judged(self, sample: str, prediction: Any) -> Any:
        """What one prediction adds."""
        return self.task.contribution(prediction, self.truth.samples[sample])

    def sample(self, sample: str, record: Postprocess) -> Sample:
        """What post-processing by this record is given of a sample."""
        shape, recipe = self.card.inputs[0].shape, self.card.recipe
        size = (shape[1], shape[2]) if len(shape) == 3 else None
        if size and self.card.inputs[0].layout == "NHWC":
            size = shape[0], shape[1]
        framed = isinstance(record, Boxes | LabelMap | Regions) and record.frame is not None
        own = self.card.preprocessing if recipe is not None and not framed else None
        known = self.truth.samples[sample]
        given = getattr(known, "given", None)
        return Sample(
            sample,
            self.truth.size(sample),
            size,
            own if isinstance(own, Recipe) else None,
            given() if given is not None else None,
        )


def port_outputs(folder: Path, card: Card, dtype: str, ids: Sequence[str]) -> dict[str, Outputs]:
    """The port's raw outputs by sample, in the shapes of the card where they have their size."""
    from portproof.metrics.outputs.output_files import outputs_of

    found = outputs_of(folder, dtype)
    if len(found) != len(card.outputs):
        progress.warn(f"'{folder}' has {len(found)} outputs, the card {len(card.outputs)}")
    made: dict[str, Outputs] = {}
    for sample in ids:
        if sample not in found[0].files.ids:
            continue
        made[sample] = {}
        for output, said in zip(found, card.outputs, strict=False):
            array = output.read(sample)
            right = array.size == int(np.prod(said.shape or (0,)))
            made[sample][said.name] = array.reshape(said.shape or ()) if right else array
    return made
