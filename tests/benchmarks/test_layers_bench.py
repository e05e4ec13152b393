"""The benchmark runs and prints its tables; what it finds is not judged here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_the_benchmark_runs(stage: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    pytest.importorskip("torchvision")
    done = stage("benchmarks/layers.py", "--faults", 0, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "| fp32 | 1 | 0 | 0 | 0 | none |" in done.stdout
