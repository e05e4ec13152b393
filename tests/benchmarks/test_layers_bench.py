"""The benchmark runs and prints its tables; what it finds is not judged here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest


@pytest.mark.slow
def test_the_benchmark_runs(stage: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    pytest.importorskip("torchvision")
    # The smallest network of torchvision that has batch normalisation and shows fault 0.
    words = ("--network", "shufflenet_v2_x0_5", "--faults", 0)
    done = stage("benchmarks/layers.py", *words, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "| fp32 | 1 | 0 | 0 | 0 | none |" in done.stdout
