"""The benchmark of scale: its data are what it says, and its rows are complete."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.metrics.accuracy.score import score
from portproof.packed.results import open_results


@pytest.fixture
def scale(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("scale", root / "benchmarks/scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "path", ["", *sys.path])  # the benchmark replaces the first
        patched.setitem(sys.modules, "scale", module)
        spec.loader.exec_module(module)
    return module


def test_packs_hold_every_sample_once_in_parts(
    scale: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "_AT_ONCE", 7)
    for is_shuffled in (False, True):
        case = tmp_path / str(is_shuffled)
        scale.make_packs(case, 100, is_shuffled)
        ids, outputs = open_results(case / "port")
        assert (list(ids) == sorted(ids)) is not is_shuffled and outputs[1].count == 100
        right = score(case / "reference", case / "labels.txt").outcomes.right
        assert np.mean(right) > 0.5, "rows belong to their ids"


def test_every_command_and_size_has_a_row(
    scale: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SIZES", (10, 30, 90))
    rows = [line.split("|")[1:-1] for line in scale.packed_rows(tmp_path, 30)]
    assert [row[0].strip() for row in rows] == ["10"] * 6 + ["30"] * 6
    assert all(len(row) == 8 for row in rows) and not list(tmp_path.iterdir())
    assert [row[6].strip() == "-" for row in rows] == [True] * 6 + [False] * 6
