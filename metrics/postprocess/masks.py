"""Detections with a mask each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import (
    Array,
    Decode,
    Outputs,
    Sample,
    as_float,
    output_of,
    shaped,
)
from portproof.metrics.decoding.frame import Placement, placement
from portproof.metrics.postprocess.boxes import as_detections, detected
from portproof.metrics.predictions.instances import Detections
from portproof.postprocess import Masks

PREDICTION = "instances"


def decoder(settings: Masks, folder: Path) -> Decode:
    """Detections whose masks are of the original image's size, as booleans."""

    def decode(outputs: Outputs, sample: Sample) -> Detections:
        where = placement(sample, settings.frame)
        found = detected(settings, outputs, where)
        size = sample.size
        if size is None:
            raise InputError(
                f"the truth does not say the size of the image '{sample.id}', which masks are of;"
                " give a truth with sizes"
            )
        stack = output_of(outputs, settings.masks, "masks")
        if stack.ndim == 4 and stack.shape[0] == 1 and stack.shape[1] > 1:
            stack = stack[0]
        if stack.ndim == 4 and stack.shape[1] == 1:
            stack = stack[:, 0]
        stack = shaped(as_float(stack), 3, "masks", "(N, height, width)", may_be_empty=True)
        if not stack[:1].size and found.rows.size:
            raise InputError("the output of the masks is empty; run the inference again")
        if found.rows.size and int(found.rows.max()) >= len(stack):
            raise InputError(
                f"the output of the masks has {len(stack)} masks, and there are more boxes; name"
                " the output that has a mask for every box"
            )
        detections = as_detections(found, settings, where)
        if settings.mask_activation == "sigmoid":
            with np.errstate(over="ignore"):
                stack = np.asarray(1 / (1 + np.exp(-stack[found.rows])))
        else:
            stack = stack[found.rows]
        boxes = where.undo_points(found.boxes.astype(np.float64).reshape(-1, 2, 2)).reshape(-1, 4)
        masks = [
            _in_box(mask, box, size) if settings.inside_box else _in_image(mask, where, size)
            for mask, box in zip(stack, boxes, strict=True)
        ]
        return replace(detections, masks=[m > settings.mask_threshold for m in masks])

    return decode


def _in_image(mask: Array, where: Placement, size: tuple[int, int]) -> Array:
    """A mask of the whole input at the pixels of the original image."""
    rows, columns = (
        ((np.arange(n) + 0.5) * where.scale[axis] + where.offset[axis])
        for axis, n in enumerate(size)
    )
    whole = where.input_size or mask.shape
    return _sampled(mask, rows * (mask.shape[0] / whole[0]), columns * (mask.shape[1] / whole[1]))


def _in_box(mask: Array, box: NDArray[np.float64], size: tuple[int, int]) -> Array:
    """A mask of a box, stretched over the box of the original image; nothing outside of it."""
    left, top, right, bottom = box.tolist()
    width, height = max(right - left, 1e-6), max(bottom - top, 1e-6)
    down = (np.arange(size[0]) + 0.5 - top) / height
    across = (np.arange(size[1]) + 0.5 - left) / width
    inside = ((down >= 0) & (down <= 1))[:, None] & ((across >= 0) & (across <= 1))[None, :]
    found = _sampled(mask, down * mask.shape[0], across * mask.shape[1])
    return np.where(inside, found, -np.inf)


def _sampled(mask: Array, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Array:
    """Bilinear values at places in pixels, whose centres are at 0.5; edges go on outside."""
    top, depth = _between(rows, mask.shape[0])
    left, share = _between(columns, mask.shape[1])
    bottom, right = np.minimum(top + 1, len(mask) - 1), np.minimum(left + 1, mask.shape[1] - 1)
    upper = mask[top][:, left] * (1 - share) + mask[top][:, right] * share
    lower = mask[bottom][:, left] * (1 - share) + mask[bottom][:, right] * share
    return np.asarray(upper * (1 - depth[:, None]) + lower * depth[:, None])


def _between(
    places: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    at = np.clip(places - 0.5, 0, size - 1)
    low = at.astype(np.int64)
    return low, at - low
