"""Masks in COCO's forms (polygons, run lengths, arrays), checked before pycocotools reads them: its
C code trusts what it is given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError, MissingPackageError

Floats = NDArray[np.float64]

#: Corners of polygons may lie outside the image, but not this many image sides away.
_FARTHEST = 4
_FORMS = (
    "polygons [[x1, y1, x2, y2, x3, y3, ...], ...] or run lengths {'size': [height, width],"
    " 'counts': ...} were expected"
)


def mask_functions() -> Any:
    """The module pycocotools.mask; :class:`MissingPackageError` where it is not installed."""
    try:
        from pycocotools import mask
    except ImportError:
        raise MissingPackageError("pycocotools", "instance_segmentation", "tasks") from None
    return mask


def encoded(mask: Any, size: tuple[int, int] | None, what: str) -> tuple[Any, tuple[int, int]]:
    """A mask as pycocotools' run lengths, and its (height, width). ``size``: of the image; a mask
    of another size, or damaged, is an :class:`InputError`.
    """
    functions = mask_functions()
    if isinstance(mask, np.ndarray):
        size = _same_size(mask.shape, size, what)
        return functions.encode(np.asfortranarray(mask.astype(np.bool_), np.uint8)), size
    if isinstance(mask, list):
        if size is None:
            raise InputError(f"{what}: polygons need the image's height and width; add them")
        size = _same_size(size, size, what)
        pieces = functions.frPyObjects(_polygons(mask, size, what), *size)
        return functions.merge(pieces), size
    if isinstance(mask, dict) and {"size", "counts"} <= mask.keys():
        size = _same_size(mask["size"], size, what)
        counts = mask["counts"]
        if isinstance(counts, list):
            _check_runs(counts, size, what)
            return functions.frPyObjects({"size": list(size), "counts": counts}, *size), size
        text = counts.decode("latin-1") if isinstance(counts, bytes) else counts
        if isinstance(text, str):
            _check_runs(_runs_of(text), size, what)
            return {"size": list(size), "counts": text.encode("ascii")}, size
    raise InputError(f"{what}: {_FORMS}")


def _same_size(found: Any, size: tuple[int, int] | None, what: str) -> tuple[int, int]:
    sound = isinstance(found, tuple | list) and len(found) == 2
    if not sound or not all(type(n) is int and 0 < n < 1 << 16 for n in found):
        raise InputError(f"{what}: a mask's size of [height, width] was expected, got {found!r}")
    if size is not None and tuple(found) != tuple(size):
        raise InputError(
            f"{what}: a mask is {found[0]} high and {found[1]} wide, its image is {size[0]} high"
            f" and {size[1]} wide; bring masks to the size of the original image"
        )
    return found[0], found[1]


def _polygons(mask: list[Any], size: tuple[int, int], what: str) -> list[list[float]]:
    far = _FARTHEST * max(size)
    for corners in mask:
        if (
            not isinstance(corners, list)
            or len(corners) < 6
            or len(corners) % 2
            or not all(type(x) in (int, float) and math.isfinite(x) for x in corners)
            or max(map(abs, corners)) > far
        ):
            raise InputError(
                f"{what}: a polygon of three or more corners in or near the image was expected;"
                f" {_FORMS}"
            )
    if not mask:
        raise InputError(f"{what}: a mask without a polygon; {_FORMS}")
    return mask


def _check_runs(runs: Sequence[Any] | None, size: tuple[int, int], what: str) -> None:
    if (
        runs is None
        or not all(type(n) is int and n >= 0 for n in runs)
        or sum(runs) != size[0] * size[1]
    ):
        raise InputError(
            f"{what}: run lengths that fill an image {size[0]} high and {size[1]} wide were"
            " expected; is the file whole?"
        )


def _runs_of(text: str) -> list[int] | None:
    """The run lengths in COCO's compressed text (``rleFrString`` of its maskApi.c: five bits a
    character, the differences to the run before the last from the fourth on); None if it is none.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64:
            return None
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return None if shift else runs


def mask_overlap(found: Sequence[Any], objects: Sequence[Any], crowd: NDArray[np.bool_]) -> Floats:
    """IoU of encoded masks: (D, G); with a crowd the share of the detection inside it."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    overlaps: Floats = mask_functions().iou(
        list(found), list(objects), crowd.astype(np.uint8).tolist()
    )
    return overlaps


def mask_areas(masks: Sequence[Any]) -> Floats:
    """The areas of encoded masks, in pixels."""
    if not masks:
        return np.zeros(0)
    return np.asarray(mask_functions().area(list(masks)), np.float64)
