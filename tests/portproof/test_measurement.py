"""Measurements: rates, percentiles, the file, and ratios whose interval covers what it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from portproof.core.errors import InputError
from portproof.infer.timing.speed_ratio import paired_ratio
from portproof.logs.read import read
from portproof.measurement import (
    CALLS_BEYOND,
    Measurement,
    Performance,
    board_rows,
    calls_needed,
    nearest_rank,
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


def test_rate_is_images_over_seconds_and_clients_overlap() -> None:
    assert measurement(blocks=[[0.1, 0.3], [0.4]]).images_per_second == pytest.approx(3 * 8 / 0.8)
    assert measurement(blocks=[[0.1, 0.3], [0.4]], clients=2).images_per_second == pytest.approx(
        2 * 3 * 8 / 0.8
    )
    assert measurement(blocks=[]).images_per_second is None
    assert measurement(blocks=[[]]).median_s is None


@pytest.mark.parametrize("percent", [5, 50, 90, 95, 99])
def test_percentile_needs_enough_calls_and_is_the_nearest_rank(percent: int) -> None:
    needed = calls_needed(percent)
    times = np.random.default_rng(1).permutation(np.arange(1, needed + 1) / 1000)
    assert measurement(blocks=[times[1:]]).percentile_s(percent) is None
    stated = measurement(blocks=[times[:9], times[9:]]).percentile_s(percent)
    assert stated == np.quantile(times, percent / 100, method="inverted_cdf")
    beyond = min(np.sum(times > stated), np.sum(times <= stated))
    assert beyond == CALLS_BEYOND


def test_ten_calls_beyond_a_percentile_tell_it_within_a_factor_of_two() -> None:
    """The exact interval of a Poisson count, from quantiles of chi-squared (Garwood 1936)."""
    low = stats.chi2.ppf(0.025, 2 * CALLS_BEYOND) / 2
    high = stats.chi2.ppf(0.975, 2 * (CALLS_BEYOND + 1)) / 2
    assert (round(low, 1), round(high, 1)) == (4.8, 18.4)
    assert high / CALLS_BEYOND < 2


@pytest.mark.parametrize("percent", [1, 5, 25, 50, 75, 90, 99])
@pytest.mark.parametrize("count", [1, 2, 7, 40, 100, 101])
def test_the_nearest_rank_is_the_inverse_of_the_distribution(percent: int, count: int) -> None:
    values = np.sort(np.random.default_rng(count).random(count))
    expected = np.quantile(values, percent / 100, method="inverted_cdf")
    assert nearest_rank(values.tolist(), percent) == expected


def board() -> Performance:
    """Two chips at batch 8: one alone at 16 images a second, together 12 and 8."""
    facts: list[Any] = [
        ("310 alone", "alone", "npu:0", 1, [0.5]),
        ("310@npu:0", "chip", "npu:0", 1, [8 / 12]),
        ("310@npu:1", "chip", "npu:1", 1, [1.0]),
        ("310 card", "together", "npu:0+1", 2, [8 / 12, 1.0]),
    ]
    return Performance(
        measurements=[
            measurement(label, [block], scope=scope, device=device, chips=chips, clients=chips)
            for label, scope, device, chips, block in facts
        ]
    )


def test_a_board_is_its_chips_together_beside_one_times_their_number() -> None:
    (row,) = board_rows(board())
    assert (row.batch, row.boundary, row.chips) == (8, "call", 2)
    assert (row.alone, row.product) == (16, 32)
    assert row.together == pytest.approx(2 * 8 * 2 / (8 / 12 + 1))
    assert row.share == pytest.approx(row.together / 32)
    assert row.each == {"npu:0": pytest.approx(12), "npu:1": 8}


def test_a_file_of_the_version_before_scopes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    write_performance(path, board())
    data = json.loads(path.read_text())
    for record in data["measurements"]:
        del record["scope"]
    path.write_text(json.dumps(data))
    assert read_performance(path) == board()
    # A label with such an end is the user's own where no board was timed.
    data["measurements"] = data["measurements"][:1]
    path.write_text(json.dumps(data))
    assert [m.scope for m in read_performance(path).measurements] == ["chip"]
    runs = read(path)
    assert [run.facts["scope"] for run in runs] == ["chip"]


def test_file_round_trip_has_a_line_a_measurement(tmp_path: Path) -> None:
    both = [measurement("a"), measurement("b", device="cpu", options={"x": "1"})]
    performance = Performance(
        measurements=both, ratios=[paired_ratio(*both)], reasons=["why"], status="unstable"
    )
    write_performance(tmp_path / "perf.json", performance)
    assert read_performance(tmp_path / "perf.json") == performance
    text = (tmp_path / "perf.json").read_text()
    assert json.loads(text)["ratios"][0]["ci95"] is None
    assert sum('"blocks"' in line for line in text.splitlines()) == 2


def test_file_of_another_version_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "perf.json").write_text('{"schema": "portproof.perf/9", "measurements": []}')
    with pytest.raises(InputError, match=r"portproof\.perf/9.*measure again"):
        read_performance(tmp_path / "perf.json")
