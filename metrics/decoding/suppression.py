"""Non-maximum suppression."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.floating[Any]]


def suppressed(
    boxes: Boxes, scores: NDArray[Any], groups: NDArray[np.int64], iou_threshold: float
) -> NDArray[np.int64]:
    """The places of the boxes that stay, best score first.

    A box goes when it overlaps a better one of its group by more than ``iou_threshold``
    (torchvision's ``nms``: greedy, equal scores in their order, in the boxes' own precision).
    ``boxes`` (N, 4): left, top, right, bottom.
    """
    order = np.argsort(-scores.astype(np.float64), kind="stable")
    kept = [
        members[_greedy(boxes[members], iou_threshold)]
        for group in np.unique(groups)
        for members in [order[groups[order] == group]]
    ]
    together = np.concatenate([np.zeros(0, np.int64), *kept])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return together[np.argsort(rank[together])]


def _greedy(boxes: Boxes, iou_threshold: float) -> NDArray[np.int64]:
    """Of boxes in the order of their scores."""
    left, top, right, bottom = boxes.T
    areas = (right - left) * (bottom - top)
    remaining = np.arange(len(boxes))
    kept: list[int] = []
    while remaining.size:
        best, others = remaining[0], remaining[1:]
        kept.append(int(best))
        width = np.minimum(right[best], right[others]) - np.maximum(left[best], left[others])
        height = np.minimum(bottom[best], bottom[others]) - np.maximum(top[best], top[others])
        inter = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = inter / (areas[best] + areas[others] - inter)
        # two boxes without an area have no overlap: NaN is not over the threshold
        remaining = others[~(overlap.astype(np.float64) > iou_threshold)]
    return np.array(kept, np.int64)
