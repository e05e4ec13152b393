"""What post-processing is given of one sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.recipe import Recipe

Array = NDArray[Any]
Outputs = Mapping[str, Array]


@dataclass(frozen=True)
class Sample:
    """One sample. ``size``: (height, width) of the original image in pixels, where the truth says
    it; ``input_size``: of the model's input, where the card says it; ``recipe``: the card's, which
    knows how the one became the other. ``context``: what the truth holds beside the answer (the
    text that a question is about, the number of words).
    """

    id: str
    size: tuple[int, int] | None = None
    input_size: tuple[int, int] | None = None
    recipe: Recipe | None = None
    context: Any = None


#: Makes the prediction of a sample.
Decode = Callable[[Outputs, Sample], Any]


def output_of(outputs: Outputs, which: int | str | None, what: str) -> Array:
    """The output of that name or place (from 1), or the only one; :class:`InputError` names those
    there are. ``what`` it holds is for the sentence.
    """
    names = list(outputs)
    if which is None and len(names) == 1:
        return outputs[names[0]]
    if isinstance(which, str) and which in outputs:
        return outputs[which]
    if isinstance(which, int) and 1 <= which <= len(names):
        return outputs[names[which - 1]]
    asked = "no output was named" if which is None else f"there is no output {which!r}"
    raise InputError(
        f"{asked} for the {what}, and the results have {len(names)} ({', '.join(names)}); correct"
        " the post-processing"
    )


def without_batch(array: Array, axes: int) -> Array:
    """The array without leading axes of size 1, as long as it has more than ``axes``."""
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    return array


def shaped(
    array: Array, axes: int, what: str, expected: str, *, may_be_empty: bool = False
) -> Array:
    """The array with so many axes; :class:`InputError` says which form was expected."""
    if not array.size and not may_be_empty:
        raise InputError(
            f"the output of the {what} is empty, {expected} was expected; run the inference again"
        )
    array = without_batch(array, axes)
    if array.ndim != axes:
        raise InputError(
            f"the output of the {what} has the shape {tuple(array.shape)} for one sample,"
            f" {expected} was expected; correct the post-processing, or say the shape in the card's"
            " outputs or in 'shapes'"
        )
    return array


def as_float(array: Array) -> NDArray[np.floating[Any]]:
    """Half precision and whole numbers as float32, other floats as they are."""
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def mapped(ids: Array, table: tuple[int, ...] | str, what: str) -> NDArray[np.int64]:
    """Ids of the model as ids of the truth; :class:`InputError` for one that the table lacks."""
    ids = ids.astype(np.int64)
    if isinstance(table, str) or not ids.size:
        return ids
    if int(ids.min()) < 0 or int(ids.max()) >= len(table):
        raise InputError(
            f"the {what} has the class {int(ids.max() if ids.min() >= 0 else ids.min())}, and"
            f" 'class_ids' has {len(table)} classes, from 0; correct the post-processing"
        )
    return np.asarray(table, np.int64)[ids]
