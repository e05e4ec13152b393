"""The statistics of a comparison, against published values, other implementations and
simulation.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from portproof.metrics.paired import bounds
from portproof.metrics.paired.bounds import (
    judge_loss,
    loss_bounds,
    mcnemar_p,
    samples_range,
    samples_to_decide,
    score_bound,
    wilson_lower,
)
from portproof.verdict import Verdict

flips = st.integers(0, 60)


@pytest.mark.parametrize(
    ("table", "level", "interval"),
    [
        # Rows of both right, only the first, only the second, both wrong.
        (
            (1, 1, 7, 12),
            0.95,
            (-0.517, -0.026),
            # Fagerland, Lydersen, Laake, Statistics in Medicine 33 (2014), airway
            # hyper-responsiveness
        ),
        (
            (59, 6, 16, 80),
            0.95,
            (-0.124, -0.005),
        ),  # the same authors, Statistical Analysis of Contingency Tables, complete response
        (
            (43, 0, 1, 0),
            0.90,
            (-0.096, 0.037),
        ),  # Tango 1998, contact lenses; as reproduced by the R package ratesci
        ((4, 9, 3, 16), 0.95, (-0.027, 0.390)),  # Tango 1998; as reproduced by ratesci
        (
            (53, 16, 8, 9),
            0.95,
            (-0.020, 0.207),
        ),  # Agresti and Min, Statistics in Medicine 24 (2005); as reproduced by ratesci
    ],
)
def test_published_tango_intervals(
    table: tuple[int, ...], level: float, interval: tuple[float, float]
) -> None:
    _, first, second, _ = table
    low, high = loss_bounds(second, first, sum(table), (1 + level) / 2)
    assert (low, high) == pytest.approx(interval, abs=5.01e-4)


def test_an_interval_of_the_r_package_propcis() -> None:
    # scoreci.mp(25, 28, 618, 0.90) estimates (28 - 25) / 618.
    assert loss_bounds(25, 28, 618, 0.95) == pytest.approx((-0.0148, 0.0247), abs=5e-5)


def _score_by_likelihood(more: int, less: int, n: int, difference: float) -> float:
    """Tango's statistic with the nuisance parameter found by maximising the trinomial likelihood
    numerically.
    """

    def minus_log_likelihood(p_less: float) -> float:
        p_more = p_less + difference
        rest = 1 - p_less - p_more
        return -sum(
            count * np.log(max(p, 1e-300))
            for count, p in ((more, p_more), (less, p_less), (n - more - less, rest))
            if count
        )

    low, high = max(0.0, -difference), (1 - difference) / 2
    p_less = minimize_scalar(
        minus_log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-13}
    ).x
    variance = (2 * p_less + difference - difference**2) / n
    return float(((more - less) / n - difference) / np.sqrt(variance))


@pytest.mark.parametrize(
    ("more", "less", "n"),
    [(5, 12, 600), (12, 5, 600), (1, 0, 30), (3, 3, 40), (0, 4, 25), (30, 60, 200)],
)
def test_the_bound_is_where_the_score_test_just_rejects(more: int, less: int, n: int) -> None:
    z = norm.ppf(0.95)
    bound = brentq(
        lambda d: _score_by_likelihood(more, less, n, d) + z,
        (more - less) / n + 1e-9,
        1 - 1e-9,
        xtol=1e-12,
    )
    assert score_bound(more, less, n, 0.95) == pytest.approx(bound, abs=2e-6)


@pytest.mark.parametrize(("fixed", "broken", "n"), [(1, 14, 300), (0, 9, 100), (6, 30, 600)])
def test_a_bound_that_proves_a_change_is_half_a_sample_nearer_to_none(
    fixed: int, broken: int, n: int
) -> None:
    """Yates' half of a sample, taken off the distance from the estimate."""
    z = norm.ppf(0.95)
    gain = brentq(
        lambda d: (
            _score_by_likelihood(fixed, broken, n, d)
            * ((fixed - broken + 0.5) / n - d)
            / ((fixed - broken) / n - d)
            + z
        ),
        (fixed - broken) / n + 1e-6,
        -1e-9,
        xtol=1e-12,
    )
    lower, upper = bounds.careful_bounds(fixed, broken, n)
    assert lower == pytest.approx(-gain, abs=2e-6)
    assert upper == loss_bounds(fixed, broken, n)[1], "the other end is Tango's own"


@settings(max_examples=100, deadline=None)
@given(fixed=flips, broken=flips, rest=st.integers(0, 2000))
def test_properties_of_the_bounds(fixed: int, broken: int, rest: int) -> None:
    n = fixed + broken + rest
    if n == 0:
        return
    low, high = loss_bounds(fixed, broken, n)
    loss = (broken - fixed) / n
    assert -1 <= low <= loss <= high <= 1
    assert (low < loss or loss == -1) and (high > loss or loss == 1)
    swapped = loss_bounds(broken, fixed, n)
    assert swapped == (-high, -low), "swapping the sides mirrors the interval"
    wide = loss_bounds(fixed, broken, n, 0.975)
    assert wide[0] <= low and high <= wide[1]
    assert loss_bounds(fixed, broken + 1, n + 1)[1] >= high - 1e-12, (
        "one more broken sample cannot prove a smaller loss"
    )
    assert loss_bounds(2 * fixed, 2 * broken, 2 * n)[1] <= high + 1e-12, (
        "twice the samples at the same rates prove no larger loss"
    )


def test_nothing_flipped_is_not_a_proof_of_no_loss() -> None:
    low, high = loss_bounds(0, 0, 600)
    assert -low == high > 0
    # With no flip the score bound is z^2 / (n + z^2).
    assert high == pytest.approx(norm.ppf(0.95) ** 2 / (600 + norm.ppf(0.95) ** 2), rel=1e-9)
    assert judge_loss(0, 0, 600, 0.01) is Verdict.PASS
    assert judge_loss(0, 0, 100, 0.01) is Verdict.UNDECIDED


def test_the_gate_errs_at_about_five_in_a_hundred() -> None:
    """A port that truly loses exactly the margin passes in about 5 % of experiments, and fails in
    about 5 %.
    """
    generator = np.random.default_rng(20240607)
    n, margin, p_fixed = 2000, 0.01, 0.01
    counts = generator.multinomial(
        n, [p_fixed, p_fixed + margin, 1 - 2 * p_fixed - margin], size=3000
    )
    unique, times = np.unique(counts[:, :2], axis=0, return_counts=True)
    verdicts = [judge_loss(int(fixed), int(broken), n, margin) for fixed, broken in unique]
    passed = sum(t for v, t in zip(verdicts, times, strict=True) if v is Verdict.PASS) / 3000
    failed = sum(t for v, t in zip(verdicts, times, strict=True) if v is Verdict.FAIL) / 3000
    assert 0.035 < passed < 0.065
    assert 0.035 < failed < 0.065


@pytest.mark.parametrize(
    ("fixed", "broken"),
    [(0, 0), (0, 1), (5, 0), (6, 16), (16, 6), (40, 41), (400, 600), (3000, 3200)],
)
def test_mcnemar_against_statsmodels(fixed: int, broken: int) -> None:
    expected = mcnemar([[10, broken], [fixed, 10]], exact=True).pvalue if fixed + broken else 1.0
    assert mcnemar_p(fixed, broken) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_counts_beyond_float64() -> None:
    assert 0 < mcnemar_p(1500, 1700) < 1e-3
    assert mcnemar_p(0, 5000) == 0.0  # 2^-4999 is below the smallest float64


def test_the_number_of_samples_that_would_decide() -> None:
    for fixed, broken, n in [(0, 3, 700), (5, 12, 600), (0, 0, 100), (2, 30, 2000)]:
        needed = samples_to_decide(fixed, broken, n, 0.01)
        assert needed is not None and needed >= n
        enough, short = needed / n, 0.95 * needed / n
        assert (
            judge_loss(fixed * enough, broken * enough, n * enough, 0.01) is not Verdict.UNDECIDED
        )
        assert judge_loss(fixed * short, broken * short, n * short, 0.01) is Verdict.UNDECIDED


def test_no_number_of_samples_decides_a_loss_of_the_margin() -> None:
    assert samples_to_decide(3, 9, 600, 0.01) is None
    assert samples_to_decide(0, 10, 1000, 0.01) is None


@pytest.mark.parametrize(("right", "n"), [(0, 5), (9, 10), (10, 10), (123, 4567)])
def test_wilson_is_that_of_statsmodels(right: int, n: int) -> None:
    expected = proportion_confint(right, n, alpha=0.1, method="wilson")[0]
    assert wilson_lower(right, n) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("low", "rounded"), [(999, 999), (1001, 1010), (12345, 12400)])
def test_numbers_of_samples_have_three_digits(
    low: int, rounded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decided_from(fixed: float, broken: float, n: float, margin: float) -> Verdict:
        return Verdict.PASS if n >= low else Verdict.UNDECIDED

    monkeypatch.setattr(bounds, "judge_loss", decided_from)
    assert samples_to_decide(0, 1, 10, 0.01) == rounded


@pytest.mark.parametrize(
    ("undecided", "expected"),
    [((), (1000, 1000)), (range(15, 100), (1000, None)), (range(100), (None, None))],
)
def test_the_range_says_when_no_number_decides(
    undecided: range, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = iter(range(100))
    monkeypatch.setattr(
        bounds, "samples_to_decide", lambda *_: None if next(calls) in undecided else 1000
    )
    assert samples_range(3, 8, 1000, 0.01) == expected


def test_the_range_is_of_a_hundred_draws_and_the_same_each_time() -> None:
    low, high = samples_range(2, 9, 1000, 0.01)
    assert (low, high) == samples_range(2, 9, 1000, 0.01)
    needed = samples_to_decide(2, 9, 1000, 0.01)
    assert low is not None and needed is not None and low < needed
    # The series of random numbers is part of what a report says: it is not another one tomorrow.
    assert samples_range(2, 5, 600, 0.01) == (600, 42100)


def test_no_rates_are_tried_of_more_flips_than_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight of ten samples flipped: rates of eleven are likely enough, and impossible."""
    tried: list[tuple[float, float, int]] = []
    monkeypatch.setattr(
        bounds, "samples_to_decide", lambda f, b, n, margin: tried.append((f, b, n))
    )
    samples_range(4, 4, 10, 0.01)
    assert 50 < len(tried) < 100, "some of the hundred were left out"
    assert all(f + b <= n == 10 for f, b, n in tried)


def test_what_takes_more_than_a_thousand_million_samples_is_not_decided() -> None:
    """Wald's 1.645^2 x 0.01 x 0.99 / distance^2: about 1197 million for a margin that is 0.00000473
    from the loss, and 902 million for one that is 0.00000545 from it.
    """
    assert samples_to_decide(0, 1000, 100_000, 0.01 + 4.73e-6) is None
    assert samples_to_decide(0, 1000, 100_000, 0.01 + 5.45e-6) == pytest.approx(902e6, rel=0.01)


@pytest.mark.parametrize(
    ("lower", "upper"), [(0.01, 0.02), (0.0, 0.01)], ids=["the lower", "the upper"]
)
def test_a_bound_at_the_margin_decides_nothing(
    lower: float, upper: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "careful_bounds", lambda *_: (lower, upper))
    assert judge_loss(1, 2, 100, 0.01) is Verdict.UNDECIDED


def test_a_score_without_variance_is_infinite_or_nothing() -> None:
    assert bounds._score(0, 0, 10, 0.0, 0.0) == 0.0
    assert bounds._score(0, 0, 10, 1.0, 0.0) == -np.inf
