"""Detections of two sides are alike whatever their order; classes correspond by the same boxes."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.tasks.partners import classes_of, same_share
from portproof.metrics.predictions.instances import Detections


def some(count: int, seed: int = 1) -> Detections:
    rng = np.random.default_rng(seed)
    boxes = np.hstack([rng.uniform(0, 80, (count, 2)), rng.uniform(5, 20, (count, 2))])
    return Detections(boxes, rng.uniform(0.2, 0.9, count), rng.integers(0, 4, count))


def those(found: Detections, at: object) -> Detections:
    return Detections(found.boxes[at], found.scores[at], found.labels[at])  # type: ignore[index]


def test_what_two_sides_share() -> None:
    found = some(12)
    none = those(found, slice(0, 0))
    assert same_share(found, those(found, slice(None, None, -1))) == pytest.approx(1)
    assert same_share(found, those(found, slice(0, 6))) == pytest.approx(2 / 3)
    assert same_share(none, none) == 1 and same_share(found, none) == 0
    other = Detections(found.boxes, found.scores, found.labels + 9)
    assert same_share(found, other) == 0
    halved = Detections(found.boxes, found.scores / 2, found.labels)
    assert same_share(found, halved) == pytest.approx(0.5)


def test_boxes_that_no_file_holds_do_not_count() -> None:
    found = some(6)
    boxes = np.vstack([found.boxes, [[5, 5, -3, 4]]])
    more = Detections(boxes, np.append(found.scores, 0.8), np.append(found.labels, 1))
    assert same_share(found, more) == pytest.approx(1)


def test_classes_that_correspond() -> None:
    ours = {str(i): some(8, i) for i in range(10)}
    moved = {i: Detections(d.boxes, d.scores, 3 * d.labels + 2) for i, d in ours.items()}
    assert classes_of(ours, moved) == {0: 2, 1: 5, 2: 8, 3: 11}
    assert classes_of(ours, ours) == {}
    rng = np.random.default_rng(3)
    mixed = {i: Detections(d.boxes, d.scores, rng.integers(0, 4, 8)) for i, d in ours.items()}
    assert classes_of(ours, mixed) == {}
    assert classes_of({"a": 1, "b": 2, **{str(i): i % 3 for i in range(9)}},
                      {"a": 2, "b": 0, **{str(i): (i + 1) % 3 for i in range(9)}}) == {
                          0: 1, 1: 2, 2: 0}  # fmt: skip
    maps = {"a": np.arange(16).reshape(4, 4) % 4}
    assert classes_of(maps, {"a": 255 - maps["a"]}) == {0: 255, 1: 254, 2: 253, 3: 252}
