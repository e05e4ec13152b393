"""A folder of result files as predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from portproof.card import Card
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Array, Sample
from portproof.metrics.decoding.decoder import Decoder
from portproof.metrics.outputs.output_files import OutputFiles, outputs_of
from portproof.metrics.truth import Truth
from portproof.proof.sidecar import proof_of
from portproof.recipe import Recipe


class ResultFolder(Mapping[str, Any]):
    """Sample id -> its prediction, made when it is asked for: outputs of a data set need not fit
    into memory.

    Outputs have the names, types and shapes of the inference's sidecar; without one those of the
    card, ``dtype`` for every output of floating point numbers.
    """

    def __init__(
        self,
        folder: Path,
        decoder: Decoder,
        truth: Truth,
        card: Card | None = None,
        dtype: str = "float32",
    ) -> None:
        self._outputs = _outputs(folder, card, dtype, decoder.shapes)
        self._decoder, self._truth = decoder, truth
        self._recipe, self._input_size = input_of(card)
        self._warned = False

    def __getitem__(self, sample: str) -> Any:
        if sample not in self._outputs[0].files.ids:
            raise KeyError(sample)
        shapes = self._decoder.shapes
        arrays = {
            output.name: _shaped(output.read(sample), shapes[i] if shapes else None, output.name)
            for i, output in enumerate(self._outputs)
        }
        self._warn(sample, arrays)
        with np.errstate(all="ignore"):  # outputs may hold anything; NaN has been warned of
            return self._decoder.decode(arrays, self._sample(sample))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._outputs[0].files.ids))

    def __len__(self) -> int:
        return len(self._outputs[0].files.ids)

    def __contains__(self, sample: object) -> bool:
        return sample in self._outputs[0].files.ids

    def _sample(self, sample: str) -> Sample:
        size = self._truth.size(sample)
        # A truth that is read from files at every access holds nothing beside the answer.
        known = self._truth.samples.get(sample) if isinstance(self._truth.samples, dict) else None
        given = getattr(known, "given", None)
        context = given() if given is not None else None
        return Sample(sample, size, self._input_size, self._recipe, context)

    def _warn(self, sample: str, arrays: Mapping[str, Array]) -> None:
        if self._warned:
            return
        bad = [n for n, a in arrays.items() if a.dtype.kind == "f" and np.isnan(a).any()]
        if bad:
            self._warned = True
            progress.warn(
                f"the result of '{sample}' holds NaN ({bad[0]}), perhaps that of others too: what"
                " comes of it counts as it is"
            )


def input_of(card: Card | None) -> tuple[Recipe | None, tuple[int, int] | None]:
    """The recipe of a card, and (height, width) of its first input, where it has them."""
    if card is None or not card.inputs:
        return None, None
    recipe = None if card.recipe is None else card.preprocessing
    shape = card.inputs[0].shape
    size = None
    if len(shape) == 3:
        channels_last = card.inputs[0].layout == "NHWC"
        size = (shape[0], shape[1]) if channels_last else (shape[1], shape[2])
    return (recipe if isinstance(recipe, Recipe) else None), size


def _outputs(
    folder: Path, card: Card | None, dtype: str, shapes: Sequence[tuple[int, ...]]
) -> list[OutputFiles]:
    found = outputs_of(folder, dtype)
    proof = proof_of(folder)
    if shapes and len(shapes) != len(found):
        raise InputError(
            f"'{folder}' has {len(found)} outputs, and 'shapes' of the post-processing has"
            f" {len(shapes)}; correct it"
        )
    if card is None or (proof is not None and proof.facts.get("outputs")):
        return found
    if len(card.outputs) != len(found):
        raise InputError(
            f"'{folder}' has {len(found)} outputs, and the card '{card.name}' has"
            f" {len(card.outputs)} ({', '.join(o.name for o in card.outputs)}); are these results"
            " of this model?"
        )
    named = []
    for output, said in zip(found, card.outputs, strict=True):
        try:
            kind = np.dtype(said.dtype)
        except TypeError as error:
            raise InputError(
                f"the card '{card.name}' has the dtype '{said.dtype}' for the output"
                f" '{said.name}', which is none; correct it"
            ) from error
        kind = np.dtype(dtype) if kind.kind == "f" else kind
        named.append(replace(output, name=said.name, dtype=kind, shape=said.shape))
    return named


def _shaped(array: Array, shape: tuple[int, ...] | None, name: str) -> Array:
    if shape is None:
        return array
    try:
        return array.reshape(shape)
    except ValueError as error:
        raise InputError(
            f"the output '{name}' has {array.size} numbers, which do not make the shape {shape} of"
            " 'shapes'; correct the post-processing, or --dtype"
        ) from error
