"""Fixtures that every test may use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real logs, READMEs and images that continuous integration keeps beside the checkout; a user's clone has none."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the folder of real samples does not stand beside this checkout")
    return folder


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def stage() -> Command:
    """Run a stage file as a user does: ``stage("metrics/topn.py", "result", ..., cwd=...)``; returns the finished process."""

    def run(
        script: str, *arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 300
    ) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | (env or {})
        command = [sys.executable, str(ROOT / script), *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False)

    return run


_SMALL_MODEL = """
from torch import nn


def build():
    return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 3))
"""

_SMALL_CARD = """
name: colours
builder: colours.py:build
inputs: [{name: image, shape: [3, 8, 8]}]
outputs: [{name: class, shape: [3]}]
recipe: {resize: {rule: exact, size: [8, 8]}, mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
published: {top1: 92.5, source: a | table <b>}
batches: [1, 2]
"""


def make_small_port(folder: Path) -> list[str]:
    """Forty small images of three colours, four of them with a wrong label, and a linear model; returns the options of ``port``."""
    import numpy as np
    import torch
    from PIL import Image

    images = folder / "images"
    images.mkdir(parents=True)
    (folder / "colours.py").write_text(_SMALL_MODEL)
    (folder / "colours.yaml").write_text(_SMALL_CARD)
    noise, labels = np.random.default_rng(5), []
    for i in range(40):
        pixels = noise.integers(0, 90, (9, 10, 3), dtype=np.uint8)
        pixels[..., i % 3] += 100
        Image.fromarray(pixels).save(images / f"colour_{i:02}.JPEG")
        labels.append(f"colour_{i:02}.JPEG {(i + (i % 10 == 9)) % 3}\n")
    (folder / "labels.txt").write_text("".join(labels))
    weight = torch.zeros(3, 12)
    for channel in range(3):
        weight[channel, 4 * channel : 4 * channel + 4] = 1.0
    torch.save({"2.weight": weight, "2.bias": torch.zeros(3)}, folder / "weights.pth")
    return ["--model", str(folder / "colours.yaml"), "--weights", str(folder / "weights.pth"), "--images", str(images),
            "--labels", str(folder / "labels.txt"), "--margin-pp", "20", "--workers", "1"]  # fmt: skip


@pytest.fixture(scope="session")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run directory that the real stages made from a small model; its inputs stand beside it. Copy it before changing anything."""
    folder = tmp_path_factory.mktemp("ported")
    run_dir = folder / "run"
    command = [sys.executable, "-m", "portproof", "port", *make_small_port(folder), "--run-dir", str(run_dir)]
    # One thread: with as many as there are processors, a loaded machine makes a bench of microseconds take minutes.
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return run_dir
