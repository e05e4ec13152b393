"""Figures of pairs of a prediction and its truth, and what repeated samples have to give."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from portproof.metrics.evaluation.contributions import Contributions

Pair = tuple[Any, Any]


def contributions(task: ModuleType, pairs: Sequence[Pair]) -> Contributions:
    ids = [f"s{i}" for i in range(len(pairs))]
    return Contributions.of(ids, [task.contribution(*pair) for pair in pairs])


def figures(task: ModuleType, pairs: Sequence[Pair]) -> dict[str, float | None]:
    return dict(task.figures(contributions(task, pairs), np.ones(len(pairs), np.int64)))


def check_repeats(task: ModuleType, pairs: Sequence[Pair], seed: int = 0) -> None:
    """Counts of k give what k copies of the sample give, 0 what a set without it gives."""
    counts = np.random.default_rng(seed).integers(0, 4, len(pairs))
    counts[:2] = [2, 0]
    repeated = [pair for pair, k in zip(pairs, counts, strict=True) for _ in range(k)]
    found = task.figures(contributions(task, pairs), counts)
    wanted = figures(task, repeated)
    assert list(found) == list(wanted) == [f.name for f in task.FIGURES]
    for name, value in wanted.items():
        assert found[name] == pytest.approx(value, rel=1e-12, nan_ok=True), name


def check_stakes(task: ModuleType, pairs: Sequence[Pair]) -> None:
    """Stakes are of every sample, not negative, and together what the figure can lose (the span, or
    as much as there is).
    """
    found = contributions(task, pairs)
    for figure in task.FIGURES:
        if hasattr(task, "stakes"):
            stakes = task.stakes(figure.name, found)
            assert stakes.shape == (len(pairs),) and (stakes >= 0).all()
            if not task.__name__.endswith("super_resolution"):  # there what the reference has
                assert stakes.sum() == pytest.approx(figure.span)
            assert 0 < stakes.sum() <= figure.span * (1 + 1e-12)
