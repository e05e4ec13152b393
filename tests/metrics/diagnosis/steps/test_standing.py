"""Which chains of faults stand, and what a search begins with."""

from __future__ import annotations

import numpy as np
import pytest

from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.likeness import Measure
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.steps.explanations import Round
from portproof.metrics.diagnosis.steps.firsts import firsts, rivals
from portproof.metrics.diagnosis.steps.standing import Chain, chain_of, stands, sure_of


def found(fault: str, score: float = 1.0, **facts: object) -> Found:
    return Found(Candidate(fault, score, "", ""), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "left", "holds"),
    [(0.1, 0.01, True), (0.4, 0.01, False), (0.4, 0.0, True), (0.6, 0.0, False)],
)
def test_many_results_that_are_nobody_s_explain_no_second_fault(
    share: float, left: float, holds: bool
) -> None:
    """Unless it is exactly what the others are, and they are the larger part."""
    stale = found("stale-results", 1 - left, explained=np.arange(100) < 100 * share)
    assert stands([found("blurred"), stale]) == holds
    assert stands([stale])


@pytest.mark.parametrize(
    ("share", "left", "holds"),
    [(0.1, 0.0, True), (0.4, 0.0, True), (0.6, 0.0, False), (0.1, 0.01, False)],
)
def test_what_shows_in_another_order_stands_where_the_others_are_the_reference_s(
    share: float, left: float, holds: bool
) -> None:
    """A layer that is seen whatever the order is, though results of another run are all else."""
    stale = found("stale-results", 1 - left, explained=np.arange(100) < 100 * share)
    assert stands([found("blurred", besides="order"), stale]) == holds


def test_changes_of_the_name_of_the_first_that_fit_about_as_well_are_its_rivals() -> None:
    """With and without batch normalisation a layer is nearly the same while another fault is in
    the way.
    """

    def change(fault: str, left: float) -> Found:
        return found(fault, left=left, changed=Changed(fault, "", lambda s: s))

    first = change("layer-channels", 0.176)
    near, nearer = change("layer-channels", 0.19), change("layer-channels", 0.178)
    others = [
        *(first, near, nearer, change("layer-channels", 0.2), change("layer-kernel", 0.177)),
        found("layer-channels", left=0.176),
    ]
    plain = np.zeros((2, 2))
    begun = Round(Candidate("none", 0.1, "", ""), others, Measure(plain, plain))
    assert rivals(begun, first) == [nearer, near]


def test_an_order_beyond_chance_is_nothing_without_the_rest() -> None:
    none = Candidate("none", 0.1, "", "")
    there = np.arange(5)
    order = found("samples-reversed", left=0.0, there=there)
    assert sure_of([order], none) == [order]
    assert sure_of([found("samples-reversed", left=0.0, there=there, besides="other")], none) == []


def test_where_rounding_differs_only_what_the_outputs_show_is_followed() -> None:
    """Whole numbers beside an epsilon: the first of them hardly fits alone."""
    rounded = found("outputs-rounded", 0.995, sure=True, left=0.6)
    other = found("interpolation", 0.994, left=0.7)
    noise = Candidate("none", 0.99995, "", "")
    assert list(firsts(noise, [other, rounded])) == [rounded]
    loud = Candidate("none", 0.5, "", "")
    assert list(firsts(loud, [other, rounded])) == [rounded, other]


def test_where_little_differs_more_are_followed() -> None:
    """Faults inside a model come near to a small shift of all values, and are no more likely."""
    others = [found(str(i), 0.98, left=0.6 + 0.01 * i) for i in range(8)]
    loud, quiet = (Candidate("none", score, "", "") for score in (0.5, 0.97))
    assert list(firsts(loud, others)) == others[:3]
    assert list(firsts(quiet, others)) == others[:6]


def test_chains_that_leave_nothing_come_first_and_then_the_shortest() -> None:
    one, two, three = (found(str(i)) for i in range(3))
    chains = [
        Chain([one], 0.05, True),
        Chain([one, two, three], 1e-9, True),
        Chain([one, two], 1e-8, True),
    ]
    assert min(chains, key=Chain.order) is chains[2]


@pytest.mark.parametrize(
    ("faults", "left", "took"),
    [
        (("normalisation-constants",), 1e-7, False),
        (("normalisation-constants",), 0.05, True),
        (("layer-weights", "rotated"), 1e-7, True),
        (("rotated", "layer-weights"), 0.05, True),
        (("rotated", "layer-weights"), 1e-3, False),
        (("rotated",), 0.05, False),
        (("bn-epsilon",), 5e-3, True),
    ],
)
def test_what_a_chain_leaves_may_be_of_other_faults_than_its_own(
    faults: tuple[str, ...], left: float, took: bool
) -> None:
    assert Chain([found(f) for f in faults], left, True).took_some() == took


@pytest.mark.parametrize(
    ("faults", "begun", "left", "whole"),
    [
        (1, 0.5, 0.04, True),
        (2, 0.5, 0.07, False),
        (1, 0.03, 0.005, True),
        (2, 0.03, 0.005, False),
        (2, 0.03, 0.001, True),
    ],
)
def test_where_little_differs_several_must_leave_next_to_nothing(
    faults: int, begun: float, left: float, whole: bool
) -> None:
    """8 bits could make such a difference, and two faults come near to more than one does."""
    chain = chain_of(
        [found(str(i)) for i in range(faults)], left, Candidate("none", 1 - begun, "", "")
    )
    assert chain.whole == whole
