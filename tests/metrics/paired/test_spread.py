"""What a sample of paired results says of the loss: against Tango's bound, and by simulation."""

from __future__ import annotations

import contextlib
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t

from portproof.core import progress
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.paired.bounds import loss_bounds
from portproof.metrics.paired.losses import Loss, loss_of, missing_of, stakes_of
from portproof.metrics.paired.spread import RESAMPLES, Resampled, reach, resampled
from portproof.metrics.tasks import Figure
from portproof.verdict import Verdict

SHARE = Figure("mean")


def task(**more: Any) -> Any:
    """The mean of one number a sample."""
    return SimpleNamespace(
        figures=lambda found, counts: {"mean": float(found.rows("x") @ counts / counts.sum())},
        **more,
    )


def side(values: Any) -> Contributions:
    values = np.asarray(values, np.float64)
    n = len(values)
    return Contributions(tuple(map(str, range(n))), {"x": values}, {"x": np.full(n, -1)})


def flips(both: int, broken: int, fixed: int, neither: int) -> tuple[Contributions, Contributions]:
    one = [1] * both + [1] * broken + [0] * fixed + [0] * neither
    other = [1] * both + [0] * broken + [1] * fixed + [0] * neither
    return side(one), side(other)


@pytest.mark.parametrize("n", [20, 200, 3000])
def test_no_change_is_bounded_as_tango_bounds_it(n: int) -> None:
    found = loss_of(task(), SHARE, *flips(n - n // 10, 0, 0, n // 10), 0.01)
    assert found.value == 0
    lower, upper = loss_bounds(0, 0, n)
    assert (found.lower, found.upper) == pytest.approx((lower, upper), rel=1e-6)


@pytest.mark.parametrize(
    ("n", "broken", "fixed"),
    [(600, 6, 0), (600, 10, 4), (300, 30, 10), (5000, 60, 40), (5000, 5, 0), (50, 3, 3)],
)
def test_shares_have_about_tango_s_bounds(n: int, broken: int, fixed: int) -> None:
    rest = n - broken - fixed
    found = loss_of(task(), SHARE, *flips(rest - rest // 5, broken, fixed, rest // 5), 0.01)
    lower, upper = loss_bounds(fixed, broken, n)
    value = (broken - fixed) / n
    assert found.value == pytest.approx(value) and found.upper is not None
    assert found.upper - value == pytest.approx(upper - value, rel=0.25)
    assert found.upper - value > 0.93 * (upper - value)
    assert 0.93 * (value - lower) < value - (found.lower or 0) < 2 * (value - lower)


def test_unequal_stakes_prove_less() -> None:
    equal = np.full(400, 1 / 400)
    unequal = np.r_[np.full(399, 0.5 / 399), 0.5]
    assert reach(0.0, unequal, 0.95) > 20 * reach(0.0, equal, 0.95)
    assert reach(0.0, unequal, 0.95) <= 1.0, "no more than all can be lost"


@settings(deadline=None)
@given(
    st.floats(0, 0.2),
    st.lists(st.floats(0, 1), min_size=2, max_size=50),
    st.floats(0.6, 0.99),
)
def test_reach_solves_its_equation(error: float, weights: list[float], confidence: float) -> None:
    stakes = np.array(weights)
    u = reach(error, stakes, confidence)
    assert u >= 0 and math.isfinite(u)
    if 0 < u < stakes.sum() and stakes.sum() > 1e-3 and error > 1e-6:
        n, z = len(stakes), norm.ppf(confidence)
        size = n * (stakes**3).sum() / (stakes**2).sum()
        seen = error * (1 + (z**2 + 1) / (4 * (n - 1)))
        unseen = max(size * u - u**2, 0.0)
        assert n * u**2 == pytest.approx(z**2 * (n * seen**2 + unseen), rel=1e-6)


@pytest.mark.parametrize("n", [8, 20, 100])
def test_few_samples_have_student_s_interval(n: int) -> None:
    for stakes in (np.full(n, 1e-9), np.zeros(n)):
        wide = reach(1.0, stakes, 0.95, math.inf)
        assert wide == pytest.approx(t.ppf(0.95, n - 1), rel=0.02)


def test_nothing_is_within_reach_of_no_samples() -> None:
    assert reach(0.0, np.zeros(0), 0.95) == 0.0


def test_the_error_is_that_of_a_mean() -> None:
    values = np.random.default_rng(0).normal(size=500)
    found = resampled(lambda counts: np.array([values @ counts / 500]), 500)
    assert found is not None
    assert found.error(np.ones(1)) == pytest.approx(values.std(ddof=1) / math.sqrt(500), rel=0.12)


def test_the_error_of_few_samples_is_not_too_small() -> None:
    """The spread of draws of n samples is that of n - 1 independent ones."""
    draws = np.array([[1.0, 0.0], [3.0, 1.0], [5.0, 0.0]])
    error = Resampled(draws, 4).error(np.array([1.0, 2.0]))
    assert error == pytest.approx(np.std([1.0, 5.0, 5.0], ddof=1) * math.sqrt(4 / 3))


def test_figures_that_rest_on_a_few_samples_are_not_resampled() -> None:
    first = resampled(lambda counts: np.ones(1) if counts[0] else None, 100)
    assert first is None
    assert resampled(lambda counts: np.ones(1), 1) is None


def test_two_samples_are_resampled_and_one_is_not() -> None:
    """Two draws from 0 and 1 have the mean 0, 1/2 or 1, which deviates by sqrt(1 / 8); the standard
    error of the mean of 0 and 1 is 1/2.
    """
    found = resampled(lambda counts: np.array([counts[1] / 2]), 2)
    assert found is not None
    assert set(found.values[:, 0].tolist()) == {0.0, 0.5, 1.0}
    assert found.error(np.ones(1)) == pytest.approx(0.5, rel=0.1)
    assert resampled(lambda counts: np.ones(1), 1) is None


def test_every_sample_is_drawn_and_every_draw_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    advanced: list[int] = []
    meter = SimpleNamespace(advance=advanced.append)
    monkeypatch.setattr(progress, "meter", lambda *_: contextlib.nullcontext(meter))
    drawn = np.zeros(5, np.int64)

    def count(counts: Any) -> Any:
        nonlocal drawn
        assert counts.sum() == 5
        drawn += counts
        return np.ones(1)

    assert resampled(count, 5) is not None
    assert advanced == [1] * RESAMPLES
    # 2000 draws of one in five: 400 each, four standard deviations are 72.
    assert np.abs(drawn - RESAMPLES).max() < 72


@pytest.mark.parametrize(("undefined", "is_known"), [(0, True), (4, True), (5, False)])
def test_one_draw_in_a_hundred_may_be_without_a_figure(undefined: int, is_known: bool) -> None:
    draws = iter(range(RESAMPLES))
    found = resampled(lambda counts: None if next(draws) < undefined else np.ones(1), 100)
    assert (found is not None) is is_known
    assert RESAMPLES == 400


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_all_samples_together_carry_all_that_can_be_lost(samples: int) -> None:
    """One alone carries it all."""
    found = stakes_of(task(), Figure("mean", span=2.0), side([0.5] * samples))
    assert found.tolist() == [2.0 / samples] * samples
    assert stakes_of(task(), SHARE, side([])).tolist() == []


@pytest.mark.parametrize(
    ("figure", "values", "missing"),
    [
        (Figure("mean"), [0.25, 1.0], [0.375, 0.0]),
        (Figure("mean", span=2.0), [0.5, 2.0], [0.75, 0.0]),
        (Figure("mean", higher_is_better=False), [0.25, 0.0], [0.125, 0.0]),
        # More errors than words: a sample has no more to gain than all that it carries.
        (Figure("mean", higher_is_better=False), [3.0, 0.0], [0.5, 0.0]),
        (Figure("mean", "dB", span=30.0), [20.0, 30.0], [0.0, 0.0]),
    ],
)
def test_a_sample_can_gain_what_it_carries_and_lacks(
    figure: Figure, values: list[float], missing: list[float]
) -> None:
    assert missing_of(task(), figure, side(values)).tolist() == missing


def test_a_sample_without_a_figure_of_its_own_is_not_known_to_gain() -> None:
    undefined = SimpleNamespace(
        figures=lambda found, counts: {"mean": None if (found.rows("x") < 0).any() else 0.25}
    )
    assert missing_of(undefined, SHARE, side([-1.0, 0.25])).tolist() == [0.0, 0.375]


@pytest.mark.parametrize(
    ("figure", "reference", "port", "verdict"),
    [
        (
            Figure("mean", "dB", span=30.0),
            30.0,
            30.0,
            Verdict.UNDECIDED,
        ),  # 100 samples prove little
        (Figure("mean", "dB", span=30.0), 30.0, 29.0, Verdict.FAIL),
        (Figure("mean", higher_is_better=False), 0.1, 0.1, Verdict.UNDECIDED),
        (Figure("mean", higher_is_better=False), 0.1, 0.6, Verdict.FAIL),
        (Figure("mean", higher_is_better=False), 0.9, 0.1, Verdict.PASS),
        (Figure("mean"), 0.1, 0.9, Verdict.PASS),
    ],
)
def test_either_direction_and_other_units(
    figure: Figure, reference: float, port: float, verdict: Verdict
) -> None:
    r = np.random.default_rng(0)
    noise = r.normal(0, 1e-3, (2, 100))
    found = loss_of(task(), figure, side(reference + noise[0]), side(port + noise[1]), 0.02)
    assert found.verdict(0.02) is verdict
    assert (found.value or 0) * (1 if figure.higher_is_better else -1) == pytest.approx(
        reference - port, abs=1e-3
    )


def test_chance_and_margin_make_doubt() -> None:
    r = np.random.default_rng(0)
    right = side((r.random(300) < 0.5).astype(float))
    guess = loss_of(task(), Figure("mean", chance=0.5), right, right, 0.1)
    assert guess.doubt is not None and "not above chance (50.00 %)" in guess.doubt
    barely = side([1] * 161 + [0] * 139)  # 3.7 points above it, of which 4.7 may be luck
    above = loss_of(task(), Figure("mean", chance=0.5), barely, barely, 0.01)
    assert above.doubt is not None and "not above chance" in above.doubt
    errors = side([1] * 139 + [0] * 161)
    below = Figure("mean", higher_is_better=False, chance=0.5)
    better = loss_of(task(), below, errors, errors, 0.01)
    assert better.doubt is not None and "not better than chance" in better.doubt
    own = loss_of(task(chance=lambda name, found: 0.5), SHARE, right, right, 0.1)
    assert own.doubt == guess.doubt
    near = loss_of(task(), Figure("mean", chance=0.3), right, right, 0.3)
    assert near.doubt is not None and "within the margin" in near.doubt
    assert loss_of(task(), Figure("mean", chance=0.3), right, right, 0.1).doubt is None
    three_in_four = side([1, 1, 1, 0] * 75)
    at = loss_of(task(), Figure("mean", chance=0.25), three_in_four, three_in_four, 0.5)
    assert at.doubt is not None and "within the margin" in at.doubt


@pytest.mark.parametrize("port_is_right", [True, False])
def test_a_reference_well_above_chance_is_not_doubted_whatever_the_port_does(
    port_is_right: bool,
) -> None:
    """170 of 300 are 6.7 points above a half, and 1.645 standard errors of 300 are 4.7; the port is
    no part of that, be it as right as the reference or right where that is wrong.
    """
    right = np.r_[np.ones(170), np.zeros(130)]
    port = right if port_is_right else 1 - right
    for figure, one, other in (
        (Figure("mean", chance=0.5), right, port),
        (Figure("mean", higher_is_better=False, chance=0.5), 1 - right, 1 - port),
    ):
        assert loss_of(task(), figure, side(one), side(other), 0.01).doubt is None


@pytest.mark.parametrize("undefined", ["reference", "port"])
def test_the_side_without_a_figure_is_named(undefined: str) -> None:
    undefined_at = SimpleNamespace(
        figures=lambda found, counts: {"mean": None if found.rows("x")[0] < 0 else 0.5}
    )
    sides = {"reference": side([1, 1]), "port": side([1, 1])} | {undefined: side([-1, 1])}
    found = loss_of(undefined_at, SHARE, sides["reference"], sides["port"], 0.1)
    assert found.doubt is not None
    assert found.doubt.startswith(f"the {undefined}'s mean is not defined for these 2 samples")


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (-0.01, 0.0199, Verdict.PASS),
        (-0.01, 0.02, Verdict.UNDECIDED),
        (0.02, 0.03, Verdict.UNDECIDED),
        (0.0201, 0.03, Verdict.FAIL),
    ],
)
def test_a_bound_at_the_margin_is_neither_under_nor_over_it(
    lower: float, upper: float, verdict: Verdict
) -> None:
    middle = (lower + upper) / 2
    loss = Loss(0.9, 0.9 - middle, middle, lower, upper, lower, upper, None)
    assert loss.verdict(0.02) is verdict


def test_a_true_loss_at_the_margin_is_seldom_passed() -> None:
    """A quick look; benchmarks/task_intervals.py has the table."""
    r, passes, holds, draws = np.random.default_rng(3), 0, 0, 120
    for _ in range(draws):
        right = r.random(150) < 0.8
        port = right & (r.random(150) > 0.08)
        found = loss_of(task(), SHARE, side(right), side(port), 0.064)
        passes += found.verdict(0.064) is Verdict.PASS
        holds += (found.low or 0) <= 0.064 <= (found.high or 0)
    assert passes <= 12 and holds >= 110
