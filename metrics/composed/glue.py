"""What a user's function between two models is given, and what it may return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portproof.card import Input, Output
from portproof.core.errors import InputError
from portproof.core.usercode import imported_files, load_callable, own_folder, source_of
from portproof.metrics.composed.answers import PartAnswers
from portproof.metrics.decoding.arrays import Array, Sample
from portproof.metrics.decoding.decoder import decoder_of
from portproof.metrics.decoding.result_folder import input_of
from portproof.metrics.tasks import load_task
from portproof.preprocess.dataset.info_list import image_size


@dataclass(frozen=True)
class Given:
    """One sample of the data with all that the parts before have made of it. ``image``: the file
    that it was, where there is a folder of images.
    """

    id: str
    image: Path | None
    parts: Mapping[str, PartAnswers]

    def each(self, part: str) -> list[dict[str, Array]]:
        """The outputs of a part for every sample that came of this one, in order."""
        answers = self._part(part)
        return [answers.outputs_of(own) for own in answers.ids_of(self.id)]

    def outputs(self, part: str) -> dict[str, Array]:
        """The outputs of a part that has one sample for each of the data."""
        return self._part(part).outputs_of(self._only(part))

    def inputs(self, part: str) -> dict[str, Array]:
        """The inputs of a part that has one sample for each of the data."""
        return self._part(part).inputs_of(self._only(part))

    def decoded(self, part: str) -> Any:
        """The prediction of a part, as its own card's ``task`` and ``postprocess`` make it: boxes
        in pixels of the image, a label map, a text.
        """
        answers = self._part(part)
        card = answers.card
        module = load_task(card.task)
        kinds = (module.PREDICTION, *getattr(module, "ALSO", ()))
        decoder = decoder_of(kinds, None, card)
        if decoder is None:
            raise InputError(
                f"the card '{card.name}' of the part '{part}' has no 'postprocess', so nothing can"
                " be decoded: add it, or take the outputs as they are"
            )
        recipe, size = input_of(card)
        whole = image_size(str(self.image)) if self.image else None
        sample = Sample(self.id, whole and (whole[1], whole[0]), size, recipe)
        return decoder.decode(self.outputs(part), sample)

    def _part(self, name: str) -> PartAnswers:
        if name not in self.parts:
            raise InputError(f"there is no part '{name}' yet; there is {', '.join(self.parts)}")
        return self.parts[name]

    def _only(self, part: str) -> str:
        own = self._part(part).ids_of(self.id)
        if own != [self.id]:
            raise InputError(
                f"'{self.id}' became {len(own)} samples of the part '{part}': use each"
            )
        return own[0]


#: Makes the arrays of one sample, or of several, from what is known.
Make = Callable[[Given], Any]


@dataclass(frozen=True)
class Glue:
    """A user's function, and the files that decide what it makes."""

    make: Make
    files: Sequence[Path]


def glue_of(text: str, card_path: str | None) -> Glue:
    """The function of ``FILE.py:NAME`` in the card's folder."""
    source, name = source_of(text, card_path)
    with own_folder(source):
        function, _ = load_callable(source, name)

    def make(given: Given) -> Any:
        with own_folder(source):
            return function(given)

    return Glue(make, imported_files(source))


def arrays_of(made: Any, specs: Sequence[Input] | Sequence[Output], what: str) -> list[Array]:
    """The arrays for the inputs or outputs, in their order; :class:`InputError` if ``made`` does
    not hold them.
    """
    names = [spec.name for spec in specs]
    if not isinstance(made, Mapping) or set(made) != set(names):
        had = f"{', '.join(map(str, made))}" if isinstance(made, Mapping) else type(made).__name__
        raise InputError(f"{what} made {had}, a dict of {', '.join(names)} was expected")
    return [_array(made[spec.name], spec, what) for spec in specs]


def _array(value: Any, spec: Input | Output, what: str) -> Array:
    array, wanted = np.asarray(value), np.dtype(spec.dtype)
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise InputError(f"{what} made '{spec.name}' of {array.dtype}, {wanted} was expected")
    if spec.shape is not None and array.shape != tuple(spec.shape):
        raise InputError(
            f"{what} made '{spec.name}' of the shape {array.shape}, {tuple(spec.shape)} was"
            " expected"
        )
    return np.ascontiguousarray(array, wanted)
