"""A class for every pixel of the original image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import (
    Array,
    Decode,
    Outputs,
    Sample,
    as_float,
    mapped,
    output_of,
    shaped,
)
from portproof.metrics.decoding.frame import Placement, placement
from portproof.postprocess import Frame, LabelMap

PREDICTION = "label_map"

#: Scores that are resized at a time, in numbers: 16 MB of float32.
_AT_ONCE = 1 << 22

Weights = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def decoder(settings: LabelMap, folder: Path) -> Decode:
    """A map of int64 ids, of the original image's size where the truth says it."""

    def decode(outputs: Outputs, sample: Sample) -> NDArray[np.int64]:
        array = output_of(outputs, settings.output, "label map")
        scores = _scores(array, settings)
        where = _place(sample, settings.frame, scores.shape[-2:])
        ids = (
            _resized_ids(scores, where, sample.size)
            if settings.resize == "nearest" or settings.ready
            else _resized_scores(scores, where, sample.size, settings)
        )
        return mapped(ids, settings.class_ids, "label map")

    return decode


def _place(sample: Sample, frame: Frame | None, shape: tuple[int, ...]) -> Placement:
    """Nothing is to be undone where the map is as large as the image that it is judged on."""
    if frame is None and (sample.size is None or (sample.recipe is None and shape == sample.size)):
        return Placement()
    return placement(sample, frame)


def _scores(array: Array, settings: LabelMap) -> Array:
    """Scores (classes, height, width), or ids (height, width)."""
    if settings.ready:
        ids = shaped(array, 2, "label map", "ids (height, width)")
        if ids.dtype.kind == "f" and not (np.isfinite(ids).all() and (ids == np.rint(ids)).all()):
            raise InputError(
                "the output of the label map holds numbers that are no whole ids: take 'ready' out"
                " of the post-processing if they are scores"
            )
        return ids
    form = "(classes, height, width)" if settings.axis == 0 else "(height, width, classes)"
    if array.ndim == 2:
        array = np.expand_dims(array, settings.axis)
    scores = as_float(np.moveaxis(shaped(array, 3, "label map", form), settings.axis, 0))
    if scores.shape[0] > 4 * max(scores.shape[1:]):
        raise InputError(
            f"the output of the label map has the shape {tuple(array.shape)} for one sample, {form}"
            " was expected; correct 'axis' in the post-processing"
        )
    return _best(scores, settings.threshold) if settings.resize == "nearest" else scores


def _best(scores: Array, threshold: float) -> NDArray[np.int64]:
    if scores.shape[0] == 1:
        return np.asarray(scores[0] > threshold, np.int64)
    return np.asarray(scores.argmax(axis=0), np.int64)


def _part(shape: tuple[int, ...], where: Placement) -> tuple[slice, slice]:
    """The part of a map that the image covers; the map may be smaller than the input."""
    if where.inner is None or where.input_size is None:
        return slice(0, shape[0]), slice(0, shape[1])
    slices = []
    for axis in (0, 1):
        step = shape[axis] / where.input_size[axis]
        first, last = where.inner[axis] * step, where.inner[axis + 2] * step
        slices.append(slice(int(np.floor(first)), max(int(np.ceil(last)), int(first) + 1)))
    return slices[0], slices[1]


def _resized_ids(ids: Array, where: Placement, size: tuple[int, int] | None) -> NDArray[np.int64]:
    _refuse_crops(where)
    inner = ids[_part(ids.shape, where)]
    if size is not None and inner.shape != size:
        # whole numbers: a centre that falls on the border of two pixels belongs to the second
        rows, columns = (
            (2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(size, inner.shape, strict=True)
        )
        inner = inner[rows[:, None], columns]
    return inner.astype(np.int64)


def _resized_scores(
    scores: Array, where: Placement, size: tuple[int, int] | None, settings: LabelMap
) -> NDArray[np.int64]:
    _refuse_crops(where)
    rows, columns = _part(scores.shape[1:], where)
    inner = scores[:, rows, columns]
    if size is None or inner.shape[1:] == size:
        return _best(inner, settings.threshold)
    found = np.empty(size, np.int64)
    step = max(1, _AT_ONCE // (inner.shape[0] * size[1]))
    down, across = (_linear(n, m) for n, m in zip(size, inner.shape[1:], strict=True))
    for first in range(0, size[0], step):
        part = tuple(a[first : first + step] for a in down)
        found[first : first + step] = _best(_bilinear(inner, part, across), settings.threshold)
    return found


def _refuse_crops(where: Placement) -> None:
    """A map of a part of the image says nothing about the rest."""
    if where.inner is None or where.size is None:
        return
    for axis, name in ((0, "height"), (1, "width")):
        covered = (where.inner[axis + 2] - where.inner[axis]) / where.scale[axis]
        # a pixel of the input, at most, is what rounding may take
        if where.size[axis] - covered > 1.0 / where.scale[axis] + 1e-6:
            raise InputError(
                f"the recipe crops the image ({covered:.0f} of {where.size[axis]} pixels of its"
                f" {name} are in the model's input), and segmentation is judged on all of it: use a"
                " recipe without a crop, or a truth that was cropped alike and the rule 'none'"
            )


def _linear(size: int, given: int) -> Weights:
    """For every place of ``size`` the two of ``given`` that it lies between, and how far on."""
    at = np.maximum((np.arange(size, dtype=np.float32) + 0.5) * np.float32(given / size) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), given - 1)
    return low, np.minimum(low + 1, given - 1), (at - low).astype(np.float32)


def _bilinear(scores: Array, down: Any, across: Weights) -> Array:
    """Across first, once for each row that is needed, and then down."""
    left, right, share = across
    top, bottom, depth = down
    first, last = int(top.min()), int(bottom.max()) + 1
    rows = scores[:, first:last]
    wide = rows.take(left, axis=2) * (1 - share) + rows.take(right, axis=2) * share
    upper, lower = wide.take(top - first, axis=1), wide.take(bottom - first, axis=1)
    mixed: Array = upper * (1 - depth[:, None]) + lower * depth[:, None]
    return mixed
