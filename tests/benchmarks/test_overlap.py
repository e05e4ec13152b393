"""The benchmark runs and writes its page; what it measures is not judged here."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


def test_the_benchmark_runs(
    stage: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    pytest.importorskip("torchvision")
    words = ("--rounds", 1, "--samples", 16, "--model-samples", 8, "--scratch", tmp_path)
    done = stage("benchmarks/overlap.py", *words, "--out", tmp_path / "page.md")
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "page.md").read_text()
    for size in ("4 KB float32", "150 KB uint8", "600 KB float32"):
        for side in ("plain loop, hashed", "infer/run.py", "infer/run.py --format pack"):
            assert f"| {size} | 16 | {side} |" in page
            assert f"| {size} | 1 | {side} |" in page
    assert "MobileNetV3-small" in page
