"""The benchmark runs and prints its tables; what it measures is not judged here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest


def test_the_benchmark_runs(stage: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    pytest.importorskip("torchvision")
    done = stage("benchmarks/preprocess.py", "--limit", 3, "--rounds", 1)
    assert done.returncode == 0, done.stderr
    for row in (
        "reference float32",
        "portproof float32, stock wheels, 2 workers",
        "portproof uint8, compiled, 2 workers",
        "floor uint8",
    ):
        assert f"| {row}" in done.stdout
