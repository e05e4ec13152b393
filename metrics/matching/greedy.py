"""COCO's matching of detections with objects, for many IoU thresholds and area ranges at once.

The rules are those of ``cocoeval.py`` (``evaluateImg``) of pycocotools: in the order of falling
scores, each detection takes the object that it overlaps most, of those that are not taken; of
objects that overlap equally the last. Ignored objects (a crowd, or outside the range of areas) are
taken only when no other is; a crowd can be taken again and again. A detection that took an ignored
object is ignored, and so is one that took none and is itself outside the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.tasks import Contribution

Floats = NDArray[np.float64]

#: COCO's IoU thresholds.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: COCO's ranges of areas in square pixels, both ends included.
AREAS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


@dataclass(frozen=True, eq=False)
class Candidates:
    """The detections and objects of one image and class, and how far they overlap.

    ``scores`` and ``areas``: (D,) of detections; ``overlaps``: (D, G) with objects;
    ``object_areas``, ``crowd`` and ``ignored`` (whatever its area): (G,).
    """

    category: int
    scores: Floats
    areas: Floats
    overlaps: Floats
    object_areas: Floats
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]


def match(found: Candidates, ranges: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections (in their given order, that of falling scores) match an object, and which
    are ignored: two arrays (D, areas, thresholds). ``ranges``: (areas, 2).
    """
    low, high = ranges[:, :1], ranges[:, 1:]
    ignored = found.ignored | (found.object_areas < low) | (found.object_areas > high)  # (A, G)
    shape = (len(ranges), len(THRESHOLDS))
    taken = np.zeros((*shape, len(found.crowd)), np.bool_)
    matched = np.zeros((len(found.scores), *shape), np.bool_)
    skipped = np.zeros_like(matched)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    for at, overlap in enumerate(found.overlaps):
        free = (found.crowd | ~taken) & (overlap >= least)  # (A, T, G)
        first, is_first = _largest(free & ~ignored[:, None], overlap)
        second, is_second = _largest(free & ignored[:, None], overlap)
        chosen = np.where(is_first, first, second)
        matched[at] = is_first | is_second
        skipped[at] = is_second & ~is_first
        a, t = np.nonzero(matched[at])
        taken[a, t, chosen[a, t]] = True
    outside = (found.areas[:, None] < low[:, 0]) | (found.areas[:, None] > high[:, 0])
    return matched, skipped | (~matched & outside[..., None])


def _largest(
    allowed: NDArray[np.bool_], overlap: Floats
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The allowed object with the largest overlap (the last of several), and whether one is."""
    count = allowed.shape[-1]
    if not count:
        none = np.zeros(allowed.shape[:-1], np.int64)
        return none, none.astype(np.bool_)
    reverse = np.where(allowed, overlap, -1.0)[..., ::-1]
    return count - 1 - reverse.argmax(axis=-1), np.any(allowed, axis=-1)


def contribution_of(classes: Sequence[Candidates], areas: Sequence[str], most: int) -> Contribution:
    """What one image adds: for each detection (the best ``most`` of a class) its ``score``,
    ``category``, ``rank`` in its class, and by area range the thresholds (bits, the lowest first)
    at which it ``matches`` and is ``ignored``; for each class with objects ``truth_category`` and
    how many objects count in each area range (``truth_count``).
    """
    ranges = np.array([AREAS[name] for name in areas])
    columns: dict[str, list[NDArray[np.generic]]] = {
        "score": [np.zeros(0)],
        "category": [np.zeros(0, np.int64)],
        "rank": [np.zeros(0, np.int64)],
        "matches": [np.zeros((0, len(areas)), np.uint16)],
        "ignored": [np.zeros((0, len(areas)), np.uint16)],
        "truth_category": [np.zeros(0, np.int64)],
        "truth_count": [np.zeros((0, len(areas)), np.int64)],
    }
    for found in classes:
        order = np.argsort(-found.scores, kind="mergesort")[:most]
        best = Candidates(
            found.category,
            found.scores[order],
            found.areas[order],
            found.overlaps[order],
            found.object_areas,
            found.crowd,
            found.ignored,
        )
        matched, ignored = match(best, ranges)
        columns["score"].append(best.scores)
        columns["category"].append(np.full(len(order), found.category, np.int64))
        columns["rank"].append(np.arange(len(order), dtype=np.int64))
        columns["matches"].append(_bits(matched))
        columns["ignored"].append(_bits(ignored))
        if len(found.crowd):
            areas_of, (low, high) = found.object_areas, ranges.T[:, :, None]
            counted = ~found.ignored & (areas_of >= low) & (areas_of <= high)
            columns["truth_category"].append(np.array([found.category], np.int64))
            columns["truth_count"].append(counted.sum(axis=1)[None])
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def _bits(flags: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """(D, A, T) booleans as (D, A) numbers, the first threshold the lowest bit."""
    weights = (1 << np.arange(flags.shape[-1])).astype(np.uint16)
    bits: NDArray[np.uint16] = (flags * weights).sum(axis=-1, dtype=np.uint16)
    return bits


def flags_of(bits: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The booleans of :func:`_bits`, the thresholds as the first axis: (T, D)."""
    flags: NDArray[np.bool_] = (bits >> np.arange(len(THRESHOLDS))[:, None]) & 1 > 0
    return flags
