"""Which chains of faults stand, and what a search begins with."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.search import _Chain, _firsts, _likeliest, _took_some
from portproof.metrics.diagnosis.steps.standing import stands, sure_of


def found(fault: str, score: float = 1.0, **facts: object) -> Found:
    return Found(Candidate(fault, score, "", ""), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "holds"), [(0.1, True), (0.4, False)])
def test_many_results_that_are_nobody_s_explain_no_second_fault(share: float, holds: bool) -> None:
    stale = found("stale-results", explained=np.arange(100) < 100 * share)
    assert stands([found("blurred"), stale]) == holds
    assert stands([stale])
    assert stands([found("blurred", besides="order"), stale]) is False


def test_an_order_beyond_chance_is_nothing_without_the_rest() -> None:
    none = Candidate("none", 0.1, "", "")
    there = np.arange(5)
    order = found("samples-reversed", left=0.0, there=there)
    assert sure_of([order], none) == [order]
    assert sure_of([found("samples-reversed", left=0.0, there=there, besides="other")], none) == []


def test_where_little_differs_only_what_the_outputs_show_is_followed() -> None:
    """Whole numbers beside an epsilon: the first of them hardly fits alone."""
    quiet = Candidate("none", 0.99, "", "")
    rounded = found("outputs-rounded", 0.995, sure=True, left=0.6)
    other = found("interpolation", 0.994, left=0.7)
    assert list(_firsts(quiet, [other, rounded])) == [rounded]
    loud = Candidate("none", 0.5, "", "")
    assert list(_firsts(loud, [other, rounded])) == [rounded, other]


def test_chains_that_leave_nothing_come_first_and_then_the_shortest() -> None:
    one, two, three = (found(str(i)) for i in range(3))
    chains = [
        _Chain([one], 0.05, True),
        _Chain([one, two, three], 1e-9, True),
        _Chain([one, two], 1e-8, True),
    ]
    assert min(chains, key=_likeliest) is chains[2]


@pytest.mark.parametrize(
    ("faults", "left", "took"),
    [
        (("normalisation-constants",), 1e-7, False),
        (("normalisation-constants",), 0.05, True),
        (("layer-weights", "rotated"), 1e-7, True),
        (("rotated", "layer-weights"), 0.05, False),
    ],
)
def test_numbers_that_were_fitted_may_have_taken_some_of_a_second_fault(
    faults: tuple[str, ...], left: float, took: bool
) -> None:
    assert _took_some(_Chain([found(f) for f in faults], left, True)) == took
