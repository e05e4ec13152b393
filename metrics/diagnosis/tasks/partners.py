"""How alike the detections of two sides are, whatever their order and number; and which class of
one side is which of the other's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.matching.overlap import box_overlap
from portproof.metrics.predictions.instances import Detections

Floats = NDArray[np.float64]
#: Two detections are one where boxes overlap and scores agree so far.
_BOXES, _SCORES = 0.9, 0.02
#: So many pairs of predictions at least say which class is which; so many of a class's agree.
_FEWEST, _AGREE = 5, 0.9


def same_share(one: Detections, two: Detections) -> float:
    """The share of detections that both sides have, 0 to 1: overlap times agreement of scores, for
    the best partner of the same class each. Boxes with a negative side, which COCO's form does not
    have, count on neither side.
    """
    sides = [_written(d) for d in (one, two)]
    total = sum(map(len, sides))
    if not total:
        return 1.0
    found = 0.0
    for label in np.intersect1d(sides[0].labels, sides[1].labels):
        a, b = (_those(d, np.asarray(d.labels == label)) for d in sides)
        alike = _overlaps(a, b) * _agreement(a, b)
        for row in alike[np.argsort(-a.scores, kind="stable")]:
            partner = int(row.argmax())
            found += max(float(row[partner]), 0.0)
            if row[partner] > 0:
                alike[:, partner] = -1.0
    return 2 * found / total


def _written(found: Detections) -> Detections:
    return _those(found, np.asarray((found.boxes[:, 2:] >= 0).all(axis=1)))


def _those(found: Detections, at: NDArray[np.bool_]) -> Detections:
    return Detections(found.boxes[at], found.scores[at], found.labels[at])


def _overlaps(a: Detections, b: Detections) -> Floats:
    """IoU; 1 for the same box, which may have no area."""
    apart = np.abs(a.boxes[:, None] - b.boxes[None]).max(axis=2, initial=0.0)
    overlaps = box_overlap(a.boxes, b.boxes, np.zeros(len(b), bool))
    return np.where(apart < 1e-3, 1.0, overlaps)


def _agreement(a: Detections, b: Detections) -> Floats:
    most = np.maximum(np.maximum(a.scores[:, None], b.scores[None]), 1e-9)
    return np.asarray(np.maximum(1 - np.abs(a.scores[:, None] - b.scores[None]) / most, 0.0))


def classes_of(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[int, int]:
    """For each class of our predictions, the class that the other side gives the same boxes, pixels
    or samples; empty where classes do not correspond, or are the same.
    """
    counts: dict[int, Counter[int]] = {}
    for sample in theirs:
        if sample in ours:
            for mine, other in _pairs(ours[sample], theirs[sample]):
                counts.setdefault(mine, Counter())[other] += 1
    if sum(c.total() for c in counts.values()) < _FEWEST:
        return {}
    best = {mine: c.most_common(1)[0] for mine, c in counts.items()}
    if any(many < _AGREE * counts[mine].total() for mine, (_, many) in best.items()):
        return {}
    found = {mine: other for mine, (other, _) in best.items()}
    return {} if all(mine == other for mine, other in found.items()) else found


def _pairs(ours: Any, theirs: Any) -> Iterable[tuple[int, int]]:
    if isinstance(ours, Detections) and isinstance(theirs, Detections):
        yield from _partners(_written(ours), _written(theirs))
    elif isinstance(ours, np.ndarray) and getattr(theirs, "shape", None) == ours.shape:
        yield from zip(ours.ravel().tolist(), theirs.ravel().tolist(), strict=True)
    elif isinstance(ours, int | np.integer) and isinstance(theirs, int | np.integer):
        yield int(ours), int(theirs)


def _partners(ours: Detections, theirs: Detections) -> Iterator[tuple[int, int]]:
    """Labels of the detections that have one partner, and no more, whatever its class."""
    if not len(ours) or not len(theirs):
        return
    close = np.abs(ours.scores[:, None] - theirs.scores[None]) <= _SCORES
    alike = (_overlaps(ours, theirs) >= _BOXES) & close
    single = alike & (alike.sum(axis=1) == 1)[:, None] & (alike.sum(axis=0) == 1)[None]
    for i, j in np.argwhere(single):
        yield int(ours.labels[i]), int(theirs.labels[j])
