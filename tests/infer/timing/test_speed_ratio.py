"""Ratios: what they are, and intervals that cover what they say."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from scipy import stats

from portproof.core.errors import InputError
from portproof.infer.timing.speed_ratio import (
    _pairs_outside,
    paired_ratio,
    start_medians,
    two_run_ratio,
)
from portproof.measurement import (
    Measurement,
    Performance,
    Ratio,
    read_performance,
    write_performance,
)


def measurement(label: str = "a", blocks: Any = ((0.5, 0.5),), **changes: Any) -> Measurement:
    facts: dict[str, Any] = {
        "model": "m.onnx",
        "backend": "ort",
        "batch": 8,
        "boundary": "call",
        "precision": "fp32",
        "clients": 1,
        "inputs": "random",
    }
    facts["starts"] = [1] * len(blocks)
    return Measurement(label=label, blocks=[list(b) for b in blocks], **(facts | changes))


def test_ratio_turns_over_and_counts_clients() -> None:
    rng = np.random.default_rng(2)
    a, b = (
        measurement(label, rng.gamma(20, 1e-4 * scale, (8, 7)))
        for label, scale in (("a", 1), ("b", 3))
    )
    there, back = paired_ratio(a, b), paired_ratio(b, a)
    assert there.ratio * back.ratio == pytest.approx(1)
    assert there.ci95 is not None
    assert back.ci95 == pytest.approx((1 / there.ci95[1], 1 / there.ci95[0]))
    assert there.ci95[0] < there.ratio < there.ci95[1]
    assert paired_ratio(msgspec.structs.replace(a, clients=2), b).ratio == pytest.approx(
        2 * there.ratio
    )
    twice = [msgspec.structs.replace(x, clients=2) for x in (a, b)]
    assert paired_ratio(*twice).ratio == pytest.approx(there.ratio)


@pytest.mark.parametrize("starts", [6, 10, 17])
def test_the_interval_holds_what_the_signed_rank_test_does_not_reject(starts: int) -> None:
    rng = np.random.default_rng(starts)
    a, b = (1e-3 * np.exp(rng.normal(0, 0.02, (starts, 1))) for _ in range(2))
    ratio = paired_ratio(measurement("a", a), measurement("b", b))
    assert ratio.ci95 is not None
    logs = np.log(b / a)[:, 0]
    for value, within in (
        (ratio.ci95[0] * (1 - 1e-9), False),
        (ratio.ci95[0] * (1 + 1e-9), True),
        (ratio.ci95[1] * (1 - 1e-9), True),
        (ratio.ci95[1] * (1 + 1e-9), False),
    ):
        p = stats.wilcoxon(logs - np.log(value), method="exact").pvalue
        assert (p > 0.05) == within


def test_blocks_of_one_start_are_one_unit() -> None:
    """Two blocks a start: the median of their quotients, so that ten blocks are five units."""
    rng = np.random.default_rng(3)
    a, b = (1e-3 * np.exp(rng.normal(0, 0.02, (10, 3))) for _ in range(2))
    pairs = paired_ratio(measurement("a", a, starts=[2] * 5), measurement("b", b, starts=[2] * 5))
    quotients = np.log(np.median(b, axis=1) / np.median(a, axis=1))
    assert pairs.ratio == pytest.approx(np.exp(np.median(quotients)))
    logs = np.median(quotients.reshape(5, 2), axis=1)
    expected = stats.t.interval(0.95, 4, loc=logs.mean(), scale=stats.sem(logs))
    assert pairs.ci95 == pytest.approx(tuple(np.exp(expected)))


def test_an_interval_of_one_start_is_not_believed(tmp_path: Path) -> None:
    """Files of before: it holds nothing of what differs between processes."""
    old = [measurement(label, [[0.1]] * 8, starts=[]) for label in ("a", "b")]
    ratio = Ratio(a="a", b="b", batch=8, boundary="call", ratio=1.0, ci95=(0.99, 1.01))
    write_performance(tmp_path / "perf.json", Performance(measurements=old, ratios=[ratio]))
    assert read_performance(tmp_path / "perf.json").ratios[0].ci95 is None
    assert paired_ratio(*old).ci95 is None


def test_too_few_pairs_give_no_interval_and_unlike_ones_no_ratio() -> None:
    assert paired_ratio(measurement("a", [[1.0]] * 3), measurement("b", [[1.0]] * 3)).ci95 is None
    assert (
        paired_ratio(measurement("a", [[1.0]] * 4), measurement("b", [[1.0]] * 4)).ci95 is not None
    )
    with pytest.raises(InputError, match="no common ratio"):
        paired_ratio(measurement("a", boundary="device"), measurement("b"))
    with pytest.raises(InputError, match="no timed call"):
        paired_ratio(measurement("a", [[]]), measurement("b"))


def autocorrelated(rng: np.random.Generator, count: int, sigma: float, memory: float) -> np.ndarray:
    """A stationary AR(1) series."""
    series = np.empty(count)
    series[0] = rng.normal(0, sigma)
    for i in range(1, count):
        series[i] = memory * series[i - 1] + rng.normal(0, sigma * math.sqrt(1 - memory**2))
    return series


def simulated(
    rng: np.random.Generator, starts: int = 10, calls: int = 20, load: float = 0.0
) -> tuple[Measurement, Measurement]:
    """Two subjects of equal speed on a machine whose speed wanders from block to block (10 %),
    whose disturbances last for many calls (8 %), which now and then preempts a call, and whose
    processes keep an offset (2 %). ``load``: in what share of the blocks a neighbour doubles the
    time of a third of the calls.
    """
    machine = autocorrelated(rng, 2 * starts, 0.10, 0.9)
    sides: tuple[list[Any], list[Any]] = ([], [])
    for i in range(2 * starts):
        side = (i + i // 2) % 2  # a b, b a, a b ...
        noise = autocorrelated(rng, calls, 0.08, 0.9) + rng.exponential(0.5, calls) * (
            rng.random(calls) < 0.03
        )
        noise += (rng.random() < load) * (np.arange(calls) < calls / 3) * np.log(2)
        sides[side].append(1e-3 * np.exp(machine[i] + rng.normal(0, 0.02) + noise))
    return measurement("a", sides[0]), measurement("b", sides[1])


@pytest.mark.parametrize("starts", [4, 10])
def test_interval_covers_the_truth_where_processes_differ(starts: int) -> None:
    """95 % intervals must cover in about 95 of 100 runs; one that takes each call for a unit covers
    far less, which is why starts are.
    """
    rng = np.random.default_rng(4)
    runs = 400
    covered = naive = 0
    for _ in range(runs):
        a, b = simulated(rng, starts)
        low, high = paired_ratio(a, b).ci95 or (math.inf, -math.inf)
        covered += low <= 1 <= high
        welch = stats.ttest_ind(
            np.log(a.samples), np.log(b.samples), equal_var=False
        ).confidence_interval(0.95)
        naive += welch.low <= 0 <= welch.high
    # Four standard errors of a binomial around 0.95 are 0.044.
    assert 0.906 <= covered / runs <= 0.994
    assert naive / runs < 0.7


def test_a_loaded_machine_does_not_bend_the_ratio() -> None:
    """The quotient of the mean rates is off by more than the ratio of the medians."""
    rng = np.random.default_rng(5)
    runs = [simulated(rng, load=0.3) for _ in range(100)]
    medians = [abs(math.log(paired_ratio(a, b).ratio)) for a, b in runs]
    means = [
        abs(math.log((a.images_per_second or 0) / (b.images_per_second or 1))) for a, b in runs
    ]
    assert np.median(medians) < 0.8 * np.median(means)


def test_a_neighbour_who_slows_the_host_for_a_while_does_not_bend_the_ratio() -> None:
    """Phases of half the speed, longer than a pair of blocks, so that the medians of all calls are
    those of whoever met more of them.
    """
    rng, ratios, pooled = np.random.default_rng(6), list[float](), list[float]()
    for _ in range(100):
        sides: tuple[list[Any], list[Any]] = ([], [])
        slow = np.repeat(rng.random(7) < 0.5, 3)[rng.integers(3) :]  # of three blocks each
        for i in range(18):
            calls = 1e-3 * (1 + slow[i]) * np.exp(rng.normal(0, 0.01, 20))
            sides[(i + i // 2) % 2].append(calls)
        a, b = measurement("a", sides[0]), measurement("b", sides[1])
        ratios.append(abs(math.log(paired_ratio(a, b).ratio)))
        pooled.append(abs(math.log(np.median(sides[1]) / np.median(sides[0]))))
    assert np.quantile(ratios, 0.95) < 0.03 < np.quantile(pooled, 0.8)


def test_blocks_without_a_partner_or_a_length_are_in_no_pair() -> None:
    a = measurement("a", [[1.0], [], [4.0], [3.0]], starts=[3, 1])
    b = measurement("b", [[2.0], [5.0], [0.0], [9.0], [7.0]], starts=[3, 2])
    assert paired_ratio(a, b).ratio == pytest.approx(math.sqrt(2 * 3))
    with pytest.raises(InputError, match="no timed call"):
        paired_ratio(measurement("a", [[0.0]]), measurement("b", [[1.0]]))


@pytest.mark.parametrize(("m", "n"), [(3, 3), (3, 5), (4, 4), (5, 4), (6, 5)])
@pytest.mark.parametrize("tail", [0.025, 0.05])
def test_the_critical_count_is_that_of_all_orders(m: int, n: int, tail: float) -> None:
    """Every order of two runs' values, counted one by one."""
    counts = []
    for places in itertools.combinations(range(m + n), m):
        others = set(range(m + n)) - set(places)
        counts.append(sum(o < p for p in places for o in others))
    expected = max(
        (u for u in range(m * n) if sum(c <= u for c in counts) <= tail * len(counts)), default=-1
    )
    assert _pairs_outside(m, n, tail) == expected


@pytest.mark.parametrize(
    ("m", "n", "critical"), [(4, 9, 4), (4, 12, 7), (8, 11, 19), (9, 9, 17), (10, 12, 29)]
)
def test_the_critical_count_of_more_starts_is_that_of_the_published_table(
    m: int, n: int, critical: int
) -> None:
    """Mann and Whitney's U, two-sided at 5 %: the table of every textbook, either way round."""
    assert _pairs_outside(m, n, 0.025) == critical
    assert _pairs_outside(n, m, 0.025) == critical


def test_two_runs_with_just_enough_starts_have_the_widest_interval() -> None:
    before, now = [1.0, 1.1, 1.2, 1.3], [0.9, 1.0, 1.05, 1.15]
    ratio, interval = two_run_ratio(before, now)
    quotients = sorted(b / n for b in before for n in now)
    assert interval == (quotients[0], quotients[-1])
    assert ratio == pytest.approx(np.median(quotients))
    with pytest.raises(InputError, match="3 and 3 starts are too few"):
        two_run_ratio(before[:3], now[:3])


def test_the_interval_of_two_runs_leaves_out_as_many_on_either_side() -> None:
    rng = np.random.default_rng(3)
    before, now = (list(np.exp(rng.normal(0, 0.1, 8))) for _ in range(2))
    _, (low, high) = two_run_ratio(before, now)
    quotients = sorted(b / n for b in before for n in now)
    outside = _pairs_outside(8, 8, 0.025)
    assert outside == 13  # Hollander & Wolfe, table A.6
    assert (low, high) == (quotients[13], quotients[-14])


def test_blocks_without_starts_are_starts_of_their_own() -> None:
    blocks = [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0]]
    assert start_medians(measurement(blocks=blocks, starts=[])) == [1.0, 2.0, 3.0, 4.0]
    assert start_medians(measurement(blocks=blocks, starts=[2, 2])) == [1.5, 3.0]
