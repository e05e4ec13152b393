"""The benchmark runs and prints its tables; what it measures is not judged here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def test_the_benchmark_runs(
    stage: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    pytest.importorskip("torchvision")
    page = tmp_path / "page.md"
    done = stage("benchmarks/preprocess.py", "--limit", 3, "--rounds", 1, "--out", page)
    assert done.returncode == 0, done.stderr
    for row in (
        "reference float32",
        "portproof float32, stock wheels, 2 workers",
        "portproof uint8, compiled, 2 workers",
        "floor uint8",
    ):
        assert f"| {row}" in done.stdout
        assert f"| {row}" in page.read_text(encoding="utf-8")
