"""The limits of the verdict on two runs, and what is compared of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from portproof.infer.timing.speed_ratio import LEAST_STARTS
from portproof.measurement import Measurement, Performance
from portproof.reports.over_time import against
from portproof.reports.over_time.against import (
    AS_FAST,
    STEP_AS_FAST,
    STEP_SLOWER,
    changes_between,
    performance_of,
    speed_since,
    verdict_since,
)
from portproof.reports.over_time.repeated_times import _card, _timed
from portproof.verdict import Verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.95, 0.989, Verdict.FAIL),
        (0.95, 0.991, Verdict.UNDECIDED),
        (0.969, 1.01, Verdict.UNDECIDED),
        (1 - AS_FAST, 1.01, Verdict.UNDECIDED),
        (0.971, 1.01, Verdict.PASS),
    ],
)
def test_a_run_may_be_one_percent_slower_and_is_as_fast_within_three(
    low: float, high: float, verdict: Verdict
) -> None:
    assert verdict_since(low, high) is verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.8, 0.949, Verdict.FAIL),
        (0.8, 0.951, Verdict.UNDECIDED),
        (0.849, 1.01, Verdict.UNDECIDED),
        (0.851, 1.01, Verdict.PASS),
    ],
)
def test_a_step_may_be_five_percent_slower_and_is_as_fast_within_fifteen(
    low: float, high: float, verdict: Verdict
) -> None:
    assert verdict_since(low, high, STEP_SLOWER, STEP_AS_FAST) is verdict


def timed(seconds: float, label: str = "ort", starts: int = LEAST_STARTS) -> Performance:
    made: dict[str, Any] = {"model": "m", "boundary": "call", "precision": "fp32", "clients": 1}
    found = Measurement(
        label=label, backend="ort", batch=1, inputs="random",
        blocks=[[seconds] * 3] * starts, starts=[1] * starts, **made,
    )  # fmt: skip
    return Performance(measurements=[found])


def test_a_speed_since_needs_enough_starts_of_both() -> None:
    found = speed_since(timed(0.02), timed(0.01), "ort", 1, "call")
    assert found is not None
    assert (found.ratio, found.how) == (pytest.approx(2), " at batch 1")
    for lacking in (timed(0.01, "eager"), timed(0.01, starts=LEAST_STARTS - 1)):
        assert speed_since(timed(0.02), lacking, "ort", 1, "call") is None
        assert speed_since(lacking, timed(0.02), "ort", 1, "call") is None


def test_versions_that_came_or_went_are_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"old": {"numpy": "1", "onnx": "1", "Pillow": "9"}, "new": {"onnx": "2", "torch": "3",
                "Pillow": "9"}}  # fmt: skip
    monkeypatch.setattr(against, "versions_of_run", lambda data: versions[data])
    found: Any = changes_between("old", "new")  # type: ignore[arg-type]
    assert [(c.name, c.before, c.now) for c in found] == [
        ("numpy", "1", None),
        ("onnx", "1", "2"),
        ("torch", None, "3"),
    ]


def test_a_step_is_done_once_before_it_is_timed_nine_times_beside_a_control() -> None:
    """Nine, as the guide says."""
    calls: list[int] = []
    times = _timed("step", 5, lambda: calls.append(1))
    assert len(calls) == 1 + 9
    assert (times.name, times.samples) == ("step", 5)
    assert len(times.seconds) == len(times.control) == 9


def test_times_taken_in_alternation_stand_with_the_first_side() -> None:
    sides: list[Any] = [SimpleNamespace(label=name) for name in ("ort", "int8", "310p")]
    first, second, alone = sides
    data: Any = SimpleNamespace(
        files=SimpleNamespace(alternated=[first, second]),
        performances={"ort": "those of both", "310p": "its own"},
    )
    found = [performance_of(data, side) for side in (first, second, alone)]
    assert found == ["those of both", "those of both", "its own"]


def test_a_card_in_the_run_directory_is_read_there(tmp_path: Path) -> None:
    data: Any = SimpleNamespace(root=tmp_path, settings=SimpleNamespace(model="card.yaml"))
    assert _card(data) == "card.yaml"
    (tmp_path / "card.yaml").touch()
    assert _card(data) == str(tmp_path / "card.yaml")
