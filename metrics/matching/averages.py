"""Average precision and recall over classes, of matched detections whose samples count any number
of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching.greedy import flags_of

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: COCO's recall levels.
LEVELS = np.linspace(0.0, 1.0, 101)


@dataclass(frozen=True)
class Average:
    """Which average: of precision or recall, at one IoU threshold (an index of
    :data:`~portproof.metrics.matching.greedy.THRESHOLDS`) or all, of objects in an area range, with
    at most so many detections of a class in an image.
    """

    of: Literal["precision", "recall"]
    most: int
    area: str = "all"
    threshold: int | None = None


@dataclass(frozen=True, eq=False)
class Class:
    """One class: its detections by falling scores (``owner``: position of the sample; ``right``,
    ``wrong``: (T, D), which count as true and as false), and its objects a sample.
    """

    owner: NDArray[np.int64]
    rank: NDArray[np.int64]
    right: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    objects: NDArray[np.int64]


def classes_of(found: Contributions, area: int) -> list[Class]:
    """The classes that have objects, in the order of their ids."""

    def make() -> list[Class]:
        owner, category = found.owners("score"), found.rows("category")
        order = np.lexsort((-found.rows("score"), category))  # stable: then in the samples' order
        category, owner = category[order], owner[order]
        rank = found.rows("rank")[order]
        matched = found.rows("matches")[order, area]
        ignored = found.rows("ignored")[order, area]
        truth, counts = found.rows("truth_category"), found.rows("truth_count")[:, area]
        holder = found.owners("truth_category")
        classes = []
        for name in np.unique(truth).tolist():
            mine = slice(*np.searchsorted(category, [name, name + 1]).tolist())
            here = truth == name
            right, skipped = flags_of(matched[mine]), flags_of(ignored[mine])
            objects = np.bincount(holder[here], counts[here], minlength=len(found)).astype(np.int64)
            classes.append(
                Class(owner[mine], rank[mine], right & ~skipped, ~right & ~skipped, objects)
            )
        return classes

    return found.once(f"classes/{area}", make)


def average(
    which: Average, areas: Sequence[str], found: Contributions, counts: Counts
) -> float | None:
    """The average over thresholds and classes with objects; None when no class has any.

    As ``accumulate`` and ``summarize`` of pycocotools give it when every count is 1. Copies of a
    detection are taken together.
    """
    values = [
        value
        for one in classes_of(found, list(areas).index(which.area))
        if (value := _of_class(which, one, counts)) is not None
    ]
    return float(np.mean(values)) if values else None


def _of_class(which: Average, one: Class, counts: Counts) -> float | None:
    objects = int(one.objects @ counts)
    if objects == 0:
        return None
    at = slice(None) if which.threshold is None else slice(which.threshold, which.threshold + 1)
    right, wrong, weight = one.right[at], one.wrong[at], counts[one.owner]
    kept = one.rank < which.most
    if not kept.all():
        right, wrong, weight = right[:, kept], wrong[:, kept], weight[kept]
    found = np.cumsum(right * weight, axis=1, dtype=np.float64)
    if which.of == "recall":
        return float(np.mean(found[:, -1] / objects)) if found.shape[1] else 0.0
    false = np.cumsum(wrong * weight, axis=1, dtype=np.float64)
    precision = found / (false + found + np.spacing(1))
    return float(
        np.mean([interpolated(f / objects, p) for f, p in zip(found, precision, strict=True)])
    )


def interpolated(recall: Floats, precision: Floats) -> float:
    """The mean, over COCO's recall levels, of the best precision at that recall or a higher one."""
    if not len(recall):
        return 0.0
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, LEVELS, side="left")
    return float(best[at[at < len(best)]].sum()) / len(LEVELS)


def stakes(area: int, found: Contributions) -> Floats:
    """What each sample's objects carry of an average over classes: a class with N objects gives
    1/N of its share to each.
    """
    held = [c.objects / c.objects.sum() for c in classes_of(found, area) if c.objects.any()]
    return np.mean(held, axis=0) if held else np.zeros(len(found))
