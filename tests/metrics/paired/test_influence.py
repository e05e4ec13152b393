"""What single samples have of a difference, against exchanging them by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.paired.influence import MOST_EXCHANGED, influences
from portproof.metrics.tasks import Figure


def task(power: int = 1) -> Any:
    """A power of the mean of one number a sample."""
    return SimpleNamespace(
        figures=lambda found, counts: {
            "mean": float(found.rows("x") @ counts / counts.sum()) ** power
        }
    )


def side(values: Any) -> Contributions:
    values = np.asarray(values, np.float64)
    n = len(values)
    return Contributions(tuple(map(str, range(n))), {"x": values}, {"x": np.full(n, -1)})


def test_a_sample_has_what_the_figure_changes_by_when_it_alone_is_the_ports() -> None:
    found = influences(task(), Figure("mean"), side([0.5, 1.0, 0.0]), side([0.5, 0.4, 0.3]))
    assert [(i.id, i.reference, i.port) for i in found] == [
        ("0", 0.5, 0.5),
        ("1", 1.0, 0.4),
        ("2", 0.0, 0.3),
    ]
    assert [i.share for i in found] == pytest.approx([0.0, -0.2, 0.1])


def test_beyond_so_many_the_largest_differences_are_exchanged_and_the_others_estimated() -> None:
    n = MOST_EXCHANGED + 20
    one = np.linspace(20, 30, n)
    other = one + np.linspace(0.01, 2, n) * np.where(np.arange(n) % 2, -1, 1)
    found = influences(task(power=2), Figure("mean", "dB", span=30.0), side(one), side(other))
    mean = one.mean()
    exact = (mean + (other - one) / n) ** 2 - mean**2
    estimated = (other**2 - one**2) / n
    order = np.argsort(-np.abs(estimated))
    shares = np.array([i.share for i in found])
    largest, rest = order[:MOST_EXCHANGED], order[MOST_EXCHANGED:]
    assert shares[largest] == pytest.approx(exact[largest])
    assert shares[rest] == pytest.approx(estimated[rest])


@pytest.mark.parametrize("lacking", ["reference", "port"])
def test_a_sample_with_a_figure_on_one_side_only_has_no_share(lacking: str) -> None:
    """Of an answer that is not a number nobody can say how much of a difference it makes."""
    whole, broken = side([0.5, 1.0]), side([0.5, np.nan])
    sides = (broken, whole) if lacking == "reference" else (whole, broken)
    found = influences(task(), Figure("mean"), *sides)
    assert (found[1].reference is None) is (lacking == "reference")
    assert (found[1].port is None) is (lacking == "port")
    assert [i.share for i in found] == [0.0, 0.0]
