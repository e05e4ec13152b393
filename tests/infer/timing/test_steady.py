"""When a clock is called unstable."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from portproof.infer.timing.steady import _drift, doubts_of, reasons, runs_differ
from portproof.measurement import Measurement


def measured(medians: list[float], backend: str = "ort") -> Measurement:
    return Measurement(
        label="a",
        model="m",
        backend=backend,
        batch=1,
        boundary="call",
        precision="fp32",
        clients=1,
        inputs="random",
        blocks=[[m, m, m] for m in medians],
    )


def test_steady_times_have_no_reasons() -> None:
    rng = np.random.default_rng(1)
    steady = [reasons(measured(list(np.exp(rng.normal(0, 0.02, 10))))) for _ in range(200)]
    assert sum(bool(r) for r in steady) <= 4


def test_spread_and_drift_are_named() -> None:
    (spread,) = reasons(measured([1, 1.3, 1, 1.3, 1.3, 1, 1, 1.3]))
    assert (
        "a, batch 1, call: the middle half of the block medians spreads over 26 % (limit 10 %)"
        in spread
    )
    # A steady decline of 1 % a block stays within a 10 % band and is no steady state all the same.
    (drift,) = reasons(measured([0.99**i for i in range(9)]))
    assert "became 8 % faster" in drift
    assert any("slower" in r for r in reasons(measured([1.03**i for i in range(10)])))
    assert reasons(measured([1, 2, 3])) == []


@pytest.mark.parametrize("seed", range(5))
def test_the_trend_is_that_of_a_linear_regression(seed: int) -> None:
    medians = np.exp(np.random.default_rng(seed).normal(0, 0.1, 12))
    line = stats.linregress(range(12), np.log(medians))
    change, chance = _drift(list(medians))
    assert change == pytest.approx(np.expm1(line.slope * 11))
    assert chance == pytest.approx(line.pvalue)


def test_a_slope_that_noise_explains_is_no_drift() -> None:
    """The line falls by more than 5 %, and a few noisy blocks give such a line by chance."""
    medians = [1.0, 1.06, 0.99, 1.05, 0.95, 1.0, 0.93, 1.04]
    change, chance = _drift(medians)
    assert abs(change) > 0.05 / 2
    assert chance > 0.01
    scaled = [m**1.8 for m in medians]
    change, chance = _drift(scaled)
    assert abs(change) > 0.05
    assert chance > 0.01
    assert not any("became" in why for why in reasons(measured(scaled)))


@pytest.mark.parametrize(("noise", "named"), [(0.0125, True), (0.0135, False)])
def test_a_trend_must_be_significant_at_one_in_a_hundred(noise: float, named: bool) -> None:
    logs = 0.01 * np.arange(8) + noise * np.array([1, -1, 1, 1, -1, -1, 1, -1])
    chance = stats.linregress(range(8), logs).pvalue
    assert (0.006 < chance < 0.01) if named else (0.01 < chance < 0.014)
    assert bool(reasons(measured(list(np.exp(logs))))) is named


def test_six_blocks_are_enough_to_doubt_and_five_are_not() -> None:
    restless = [1.0, 1.4, 1.0, 1.4, 1.0, 1.4]
    assert reasons(measured(restless))
    assert reasons(measured(restless[:5])) == []


def test_a_line_without_noise_is_certain_and_a_flat_one_no_trend() -> None:
    assert _drift([1.0] * 8) == (0.0, 1.0)
    change, chance = _drift([2.0**i for i in range(8)])
    assert change == pytest.approx(127)
    assert chance < 1e-9


@pytest.mark.parametrize(
    ("medians", "said"),
    [
        ([1.0, 1.0, 1.099], []),
        ([1.0, 1.05, 0.9], ["the medians of 3 runs differ by 15% at call (limit 10%)"]),
        ([2.0, 2.0, 2.3], ["the medians of 3 runs differ by 15% at call (limit 10%)"]),
        ([], []),
    ],
)
def test_runs_of_a_program_must_agree(medians: list[float], said: list[str]) -> None:
    assert runs_differ(measured(medians)) == said


def test_runs_that_differ_by_just_the_limit_agree() -> None:
    assert runs_differ(measured([0.75, 1.0, 1.0])) != []
    assert runs_differ(measured([10.0, 10.0, 11.0])) == []


def test_blocks_of_a_process_are_doubted_as_a_series_and_runs_of_a_program_as_runs() -> None:
    """Five runs of trtexec that differ are enough to doubt; five blocks of one process are too few
    to tell. Six steady blocks but for one are a steady state; of six runs every one must agree.
    """
    five, six = [1.0, 1.0, 1.0, 1.0, 1.2], [1.0, 1.0, 1.0, 1.2, 1.0, 1.0]
    assert doubts_of(measured(five)) == doubts_of(measured(six)) == []
    for medians in (five, six):
        (why,) = doubts_of(measured(medians, "trtexec"))
        assert why.startswith(f"a, batch 1: the medians of {len(medians)} runs differ by 20%")
    (why,) = doubts_of(measured([1.0, 1.4, 1.0, 1.4, 1.0, 1.4]))
    assert "the middle half of the block medians" in why
