"""Regions of text from a map, against how the map is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from portproof.metrics.decoding.arrays import Sample
from portproof.metrics.matching.areas import area, shared_area
from portproof.metrics.postprocess import regions
from portproof.postprocess import Regions

cv2 = pytest.importorskip("cv2")


def found(array: np.ndarray, sample: Sample, **said: Any) -> tuple[np.ndarray, ...]:
    record = msgspec.convert({"frame": {"rule": "stretch"}, **said}, Regions)
    return tuple(regions.decoder(record, Path())({"o": array}, sample).polygons)


def shrunk(rectangle: Any, ratio: float = 0.4) -> np.ndarray:
    """How a map is made (Liao et al. 2020): each side moves in by A (1 - r^2) / L."""
    centre, (w, h), angle = rectangle
    inwards = w * h * (1 - ratio**2) / (2 * (w + h))
    return np.asarray(cv2.boxPoints((centre, (w - 2 * inwards, h - 2 * inwards), angle)))


@pytest.mark.parametrize("angle", [0.0, 17.0, -40.0])
def test_what_a_map_was_made_of_is_found(angle: float) -> None:
    rectangles = [((100.0, 60.0), (120.0, 30.0), angle), ((90.0, 160.0), (100.0, 24.0), angle / 2)]
    levels = np.full((200, 200), 0.05, np.float32)
    for rectangle in rectangles:
        cv2.fillPoly(levels, [np.rint(shrunk(rectangle)).astype(np.int32)], 0.9)
    ours = found(levels[None, None], Sample("a", (400, 100), (200, 200)))
    assert len(ours) == 2
    scale = np.array([0.5, 2.0])
    for rectangle in rectangles:
        truth = cv2.boxPoints(rectangle).astype(np.float64) * scale
        best = max(
            shared_area(truth, one) / (area(truth) + area(one) - shared_area(truth, one))
            for one in ours
        )
        assert best > 0.7  # the ratio of 1.5 gives a little less than was taken


def test_the_grown_rectangle_is_that_around_round_corners() -> None:
    """PaddleOCR moves the sides out with round joins and takes the smallest rectangle around."""
    levels = np.zeros((100, 100), np.float32)
    levels[40:61, 20:71] = 0.8
    (corners,) = found(levels, Sample("a", (100, 100), (100, 100)))
    w, h = 50.0, 20.0  # between the centres of the outer pixels
    distance = w * h * 1.5 / (2 * (w + h))
    turn = np.linspace(0, 2 * np.pi, 721)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) * distance
    corner = np.array([[20, 40], [70, 40], [70, 60], [20, 60]])
    grown = (corner[:, None] + circle[None]).reshape(-1, 2).astype(np.float32)
    wanted = cv2.boxPoints(cv2.minAreaRect(grown))
    assert sorted(corners.tolist()) == [pytest.approx(p, abs=1e-3) for p in sorted(wanted.tolist())]


def test_weak_and_small_ones_are_left_out() -> None:
    levels = np.zeros((60, 60), np.float32)
    levels[10:30, 10:50] = 0.5
    levels[40:42, 40:42] = 0.9
    sample = Sample("a", (60, 60), (60, 60))
    assert found(levels, sample) == ()
    assert len(found(levels, sample, box_threshold=0.4)) == 1
    assert found(np.full((60, 60), np.nan), sample) == ()
