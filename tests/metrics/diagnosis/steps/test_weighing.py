"""How a change inside the model is weighed."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.steps.weighing import Weighing


@pytest.mark.parametrize("change", [0.0, 1e-3, 1.0])
def test_samples_that_do_not_differ_say_nothing_of_a_change(change: float) -> None:
    """An epsilon that is the model's own leaves nothing of no difference, and explains nothing."""
    rows = np.random.default_rng(1).normal(size=(6, 5))
    trial = Weighing(port=rows, plain=rows, measure=lambda r: r, neighbours=0)
    assert trial._left(rows + change * rows[::-1], np.arange(6)) >= 1.0


def test_a_change_that_gives_the_port_leaves_nothing() -> None:
    rows = np.random.default_rng(1).normal(size=(6, 5))
    trial = Weighing(port=2 * rows, plain=rows, measure=lambda r: r, neighbours=0)
    assert trial._left(2 * rows, np.arange(6)) == 0.0
    assert trial._left(rows, np.arange(6)) == 1.0
    assert trial._left(rows * np.nan, np.arange(6)) > 1.0
