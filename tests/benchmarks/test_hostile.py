"""Every reader under every kind of damage: read or refused in one sentence, never an internal error,
never a wait.
"""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
try:
    hostile: Any = importlib.import_module("hostile")
    mutations: Any = importlib.import_module("hostile_mutations")
    KINDS: dict[str, Any] = importlib.import_module("hostile_readers").KINDS
finally:
    del sys.path[0]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """Where each file is put, in a folder made anew."""
    return tmp_path / "input"


@pytest.mark.parametrize("kind", KINDS)
def test_the_good_file_is_read(kind: str, scratch: Path) -> None:
    found = hostile.outcome_of(
        KINDS[kind].read, hostile.put(KINDS[kind], scratch, KINDS[kind].good)
    )
    assert (found.code, found.problem) == (0, ""), found.said


@pytest.mark.parametrize("kind", KINDS)
def test_every_damage_is_read_or_refused(kind: str, scratch: Path) -> None:
    problems = {
        name: found.problem
        for name in mutations.MUTATIONS
        for found in [hostile.attack(KINDS[kind], [name], random.Random(0), scratch)]
        if found.problem
    }
    assert not problems


#: A journal and a lock are our own: what stands in their place is not somebody else's file.
FOREIGN = [kind for kind in KINDS if kind not in ("lock", "journal")]


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_file_is_refused_at_once(kind: str, scratch: Path) -> None:
    problems = {}
    for name, place in mutations.PLACES.items():
        path = hostile.put(KINDS[kind], scratch, b"")
        path.unlink()
        place(path)
        found = hostile.outcome_of(KINDS[kind].read, path)
        if found.problem:
            problems[name] = found.problem
    assert not problems


def test_there_are_enough_kinds_of_damage() -> None:
    assert len(mutations.MUTATIONS) + len(mutations.PLACES) >= 40


def test_the_benchmark_prints_a_row_a_kind(
    stage: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = stage("benchmarks/hostile.py", "--count", 80, "--workers", 1)
    assert done.returncode == 0, done.stdout
    assert "| model card |" in done.stdout
