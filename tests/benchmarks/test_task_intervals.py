"""The benchmark runs and prints its table; the table that is kept shows what is promised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

Stage = Callable[..., subprocess.CompletedProcess[str]]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_benchmark_runs(stage: Stage) -> None:
    done = stage("benchmarks/task_intervals.py", "--draws", 3, "--samples", 30, "--only", "exact")
    assert done.returncode == 0, done.stderr
    assert [row[0] for row in rows(done.stdout)] == [
        "exact match, few flips",
        "exact match, many flips",
    ]


def test_intervals_hold_and_verdicts_at_the_margin_are_seldom_wrong(root: Path) -> None:
    found = rows((root / "benchmarks/results/task_intervals.md").read_text())
    assert len(found) == 36 and {row[1] for row in found} == {"50", "200", "1000"}
    for row in found:
        holds, passes, fails, undefined = map(float, row[4:])
        assert holds >= 94 and passes <= 5.5 and fails <= 5.5 and undefined == 0, row
