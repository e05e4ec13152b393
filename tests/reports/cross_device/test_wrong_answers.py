"""Rates of wrong answers are in no table, and the best is among the right ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from portproof.logs.read import read
from portproof.measurement import (
    Answers,
    Measurement,
    Performance,
    write_performance,
    wrong_answers,
)

Stage = Callable[..., CompletedProcess[str]]
WHY = "output 'class' is not a number (NaN) in 32 of 32 rows of a batch"


def measured(label: str, batch: int, seconds: float, ok: bool | None) -> Measurement:
    return Measurement(
        label=label,
        model="m",
        backend="ort",
        batch=batch,
        boundary="call",
        precision="fp32",
        clients=1,
        inputs="random",
        blocks=[[seconds] * 20],
        answers=Answers(ok=ok, reason=None if ok else WHY),
    )


def written(path: Path, *measurements: Measurement) -> Path:
    write_performance(
        path,
        Performance(measurements=list(measurements), wrong=wrong_answers(measurements)),
    )
    return path


@pytest.fixture
def perf(tmp_path: Path) -> Path:
    """``port`` is fastest where it is wrong."""
    return written(
        tmp_path / "perf.json",
        measured("port", 8, 0.08, True),
        measured("port", 32, 0.001, False),
        measured("eager", 8, 0.16, True),
        measured("eager", 32, 0.32, True),
    )


def test_the_own_log_of_wrong_answers_failed_and_has_no_figure(perf: Path) -> None:
    right, wrong, *_ = read(perf)
    assert (right.status, right.facts["answers"]) == ("ok", "checked")
    assert (wrong.status, wrong.figures, wrong.facts["answers"]) == ("failed", [], "wrong")
    assert wrong.warnings == [f"its answers are wrong, so it has no rate: {WHY}"]


def test_best_is_among_the_right_ones(stage: Stage, perf: Path) -> None:
    done = stage("reports/table.py", perf, "--format", "json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["best"]["cells"]["port"]["batch"] == 8
    assert data["best"]["ratios"] == {"port/eager": 1.0}
    (row,) = [row for row in data["rows"] if row["batch"] == 32]
    assert row["cells"]["port"] is None
    assert row["ratios"] == {"port/eager": None}
    (left_out,) = data["left_out"]
    assert left_out.endswith(f"its answers are wrong, so it has no rate: {WHY}")


@pytest.mark.parametrize("form", ["md", "csv", "json", "html"])
def test_a_column_without_a_right_answer_is_empty_and_says_why(
    stage: Stage, tmp_path: Path, form: str
) -> None:
    path = written(tmp_path / "perf.json", measured("310p", 4, 0.01, False))
    done = stage("reports/table.py", path, "--format", form)
    assert done.returncode == 0, done.stderr
    assert "400" not in done.stdout
    assert "no rate" in done.stdout or form == "csv"


def test_a_policy_fails_where_an_answer_is_wrong(stage: Stage, tmp_path: Path) -> None:
    path = written(
        tmp_path / "perf.json",
        measured("310p", 4, 0.01, False),
        measured("310", 4, 0.02, True),
        measured("t4", 4, 0.02, True),
    )
    done = stage("reports/table.py", path, "--policy", "modelzoo-310p")
    assert done.returncode == 1, done.stderr
    assert "310p answered wrongly at every batch and has no rate" in done.stdout


def test_a_tool_that_gives_no_answers_has_a_rate_and_a_word(stage: Stage, tmp_path: Path) -> None:
    path = written(tmp_path / "perf.json", measured("310p", 4, 0.01, None))
    done = stage("reports/table.py", path)
    assert done.returncode == 0, done.stderr
    assert "400" in done.stdout
    assert "310p: answers not checked" in done.stdout
