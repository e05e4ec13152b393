"""PASCAL VOC's matching and average precision, as the development kit (``VOCevaldet.m``,
``VOCap.m``) defines them.

In the order of falling scores each detection is held against the object that it overlaps most,
taken or not: an overlap of at least 0.5 with an object that is not taken is right, with a difficult
one neither right nor wrong, anything else wrong. Widths and heights are counted in whole pixels
(xmax - xmin + 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching.averages import Class, Counts, classes_of
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution
from portproof.metrics.truth.coco_json import Objects

Floats = NDArray[np.float64]
_LEAST = 0.5


def contribution_of(prediction: Detections, truth: Objects) -> Contribution:
    """What an image adds, in the columns of :func:`portproof.metrics.matching.greedy
    .contribution_of`, with one area range and one threshold.
    """
    order = np.argsort(-prediction.scores, kind="mergesort")
    labels = prediction.labels[order]
    right, neither = _judged(prediction.boxes[order], labels, truth)
    classes = np.unique(truth.labels)
    counted = [int(np.count_nonzero((truth.labels == c) & ~truth.crowd)) for c in classes]
    return {
        "score": prediction.scores[order],
        "category": labels,
        "rank": np.zeros(len(order), np.int64),
        "matches": (right | neither).astype(np.uint16)[:, None],
        "ignored": neither.astype(np.uint16)[:, None],
        "truth_category": classes,
        "truth_count": np.array(counted, np.int64)[:, None],
    }


def _judged(
    boxes: Floats, labels: NDArray[np.int64], truth: Objects
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections are right, and which neither right nor wrong."""
    right, neither = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.bool_)
    taken = np.zeros(len(truth), np.bool_)
    overlaps = _overlap(boxes, truth.boxes)
    for at, (label, overlap) in enumerate(zip(labels, overlaps, strict=True)):
        mine = np.flatnonzero(truth.labels == label)
        if not len(mine):
            continue
        best = mine[overlap[mine].argmax()]
        if overlap[best] < _LEAST:
            continue
        if truth.crowd[best]:
            neither[at] = True
        elif not taken[best]:
            right[at] = taken[best] = True
    return right, neither


def _overlap(found: Floats, objects: Floats) -> Floats:
    """IoU in whole pixels: (D, G)."""
    a, b = found[:, None], objects[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    size = high - low + 1
    shared = np.where((size > 0).all(axis=-1), size.prod(axis=-1), 0.0)
    own, other = (a[..., 2:] + 1).prod(axis=-1), (b[..., 2:] + 1).prod(axis=-1)
    overlaps: Floats = shared / (own + other - shared)
    return overlaps


def mean_precision(found: Contributions, counts: Counts, levels: bool) -> float | None:
    """The mean of the classes' average precision: with ``levels`` the mean of the best precision at
    the recalls 0, 0.1, ... 1 (VOC2007), else the area under the best precision (from VOC2010 on).
    None when no class has an object that counts.
    """
    values = [
        value
        for one in classes_of(found, 0)
        if (value := _precision(one, counts, levels)) is not None
    ]
    return float(np.mean(values)) if values else None


def _precision(one: Class, counts: Counts, levels: bool) -> float | None:
    objects, weight = int(one.objects @ counts), counts[one.owner]
    if objects == 0:
        return None
    right = np.cumsum(one.right[0] * weight)
    judged = right + np.cumsum(one.wrong[0] * weight)
    right, judged = right[judged > 0], judged[judged > 0]
    recall, precision = right / objects, right / judged
    best = np.maximum.accumulate(precision[::-1])[::-1]
    if levels:
        # whole numbers: a recall of 3 in 10 reaches 0.3
        reached = [np.flatnonzero(10 * right >= k * objects) for k in range(11)]
        return float(np.mean([best[at[0]] if len(at) else 0.0 for at in reached]))
    return float(np.diff(recall, prepend=0.0) @ best)
