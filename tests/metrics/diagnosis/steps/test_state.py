"""What is left of a difference once a fault is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.steps.state import State

COUNT, CLASSES = 40, 6


def state(port: np.ndarray, right: np.ndarray) -> State:
    n = len(port)
    every, sound = [str(i) for i in range(n)], np.ones(n, bool)
    labels, at = np.zeros(n, np.int64), np.arange(n)
    compared = Compared(every, labels, sound, ~sound, at, [Path(i) for i in every], port)
    return State(compared, right, np.arange(CLASSES))


@pytest.mark.parametrize(("unexplained", "holds"), [(0, True), (6, True), (12, False)])
def test_most_samples_are_explained_though_the_mean_is_not(unexplained: int, holds: bool) -> None:
    """A mistake behind which a few results of another run are left: they are all of the mean."""
    generator = np.random.default_rng(0)
    port, other = generator.normal(0, 1, (2, COUNT, CLASSES))
    before = state(port, port + 0.3 * other)
    right = port.copy()
    right[:unexplained] = 4 * other[:unexplained]
    after = state(port, right)
    assert (after.unexplained() > before.unexplained()) == bool(unexplained)
    assert after.explains(before, 0.2) == holds


def test_other_samples_are_compared_by_their_mean() -> None:
    port, other = np.random.default_rng(0).normal(0, 1, (2, COUNT, CLASSES))
    before = state(port, port + 0.3 * other)
    assert state(port[5:], port[5:] + 0.01 * other[5:]).explains(before, 0.2)
    assert not state(port[5:], port[5:] + 0.2 * other[5:]).explains(before, 0.2)
