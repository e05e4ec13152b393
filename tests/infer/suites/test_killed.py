"""A suite that is killed and started again has the rows of one that nobody disturbed."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: Two models that run, between them one that does not; and one of three subjects that does not.
SUITE = """\
about: a test
models:
  - {model: card.yaml, title: first, weights: w.pth}
  - {model: nowhere.yaml, title: broken}
  - {model: card.yaml, title: last, weights: w.pth}
subjects:
  - {label: quick, backend: "null"}
  - {label: odd, backend: ort, device: "cuda:0", file: model.onnx}
  - {label: real, backend: ort, file: model.onnx, threads: 1}
batches: [1, 3]
"""
SHORT = ("--blocks", "1", "--starts", "1", "--block-seconds", "0.02")


@pytest.fixture
def suite(tiny: Any) -> Path:
    """A folder with ``s.yaml``."""
    (tiny.folder / "s.yaml").write_text(SUITE)
    (tiny.folder / "w.pth").write_bytes(b"not read by these backends")
    return Path(tiny.folder)


def started(root: Path, suite: Path, out: str, *words: str) -> subprocess.Popen[bytes]:
    """A suite at work; processes that it starts bear the folder's path in their environment."""
    with open(suite / "said", "wb") as said:
        return subprocess.Popen(
            [sys.executable, str(root / "infer/suite.py"), "s.yaml", "--out", out, *words],
            cwd=suite,
            env={**os.environ, "OF_THE_SUITE": str(suite)},
            stdout=said,
            stderr=said,
        )


def finished(root: Path, suite: Path, out: str, *words: str) -> str:
    """What a suite that is not disturbed says; exit code 3, since a model fails."""
    code = started(root, suite, out, *words).wait(200)
    said = (suite / "said").read_text()
    assert code == 3, said
    return said


def alive(suite: Path) -> list[int]:
    """The processes of the suite, those of its models and subjects too."""
    mark, found = f"OF_THE_SUITE={suite}\0".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def rows(page: Path) -> list[str]:
    """The lines of a page without what is measured: figures, and doubts about the clock."""
    lines = page.read_text().splitlines()
    kept = [x for x in lines if not re.match(r"Unstable: |\*\*UNSTABLE|\| other programs", x)]
    return [x for x in (re.sub(r"\d+(\.\d+)?", "#", line) for line in kept) if x]


def moments(rng: random.Random, seconds: float, out: Path) -> Iterator[Callable[[], bool]]:
    """When to kill: at random, with one model measured, and at random again."""
    for _ in range(2):
        end = time.monotonic() + rng.uniform(0.1, 0.7) * seconds
        yield lambda end=end: time.monotonic() >= end  # type: ignore[misc]
    yield (out / "first" / "perf.json.proof.json").exists
    end = time.monotonic() + rng.uniform(0.3, 0.9) * seconds
    yield lambda: time.monotonic() >= end


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_killed_and_resumed_it_has_the_same_rows(root: Path, suite: Path) -> None:
    began = time.monotonic()
    finished(root, suite, "whole", *SHORT)
    seconds, out = time.monotonic() - began, suite / "killed"
    for is_due in moments(random.Random(int(os.environ.get("SEED", "0"))), seconds, out):
        process = started(root, suite, "killed", *SHORT)
        while process.poll() is None and not is_due():
            time.sleep(0.01)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        end = time.monotonic() + 5
        while alive(suite) and time.monotonic() < end:
            time.sleep(0.01)
        assert not alive(suite)
    kept = (out / "first" / "perf.json").stat().st_mtime_ns
    said = finished(root, suite, "killed", *SHORT)
    assert "killed/first/perf.json is up to date" in said
    assert (out / "first" / "perf.json").stat().st_mtime_ns == kept
    assert rows(out / "README.md") == rows(suite / "whole" / "README.md")
    assert [p for p in suite.rglob(".*") if not p.name.startswith(".cache")] == []
