"""Classes counted by compiled code and by numpy: what the definition says."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.metrics.accuracy import native, score
from portproof.metrics.accuracy.row_counts import count_by_numpy
from portproof.preprocess.pixels.native.build import CoreUnavailable

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed"
)
ODD = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3e38, 1.0, np.nextafter(1, 2))


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty cache folder, and nothing loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native.counting.cache_clear()
    yield
    native.counting.cache_clear()


@pytest.mark.parametrize("way", ["compiled", "numpy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [2, 3, 8, 10, 31, 1000, 1001])
def test_by_definition(way: str, dtype: type[np.floating[Any]], classes: int) -> None:
    count = native.counting() if way == "compiled" else count_by_numpy
    if way == "compiled" and count is count_by_numpy:
        pytest.skip("no C compiler is installed")
    rng = np.random.default_rng(classes)
    logits = rng.choice(np.array(ODD, dtype), (50, classes))
    own = logits[range(50), rng.integers(0, classes, 50)]
    kept = logits.copy()
    for stored in (logits, np.asfortranarray(logits), logits[::-1][::-1]):
        not_below, equal = count(stored, own)
        rows = list(zip(logits.tolist(), own.tolist(), strict=True))
        assert not_below.tolist() == [sum(v >= o for v in row) for row, o in rows]
        assert equal.tolist() == [sum(v == o for v in row) for row, o in rows]
    assert np.array_equal(logits, kept, equal_nan=True)


@needs_compiler
def test_it_is_plain_c_without_a_warning(root: Path, tmp_path: Path) -> None:
    words = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    source = str(root / "metrics/accuracy/native/counts.c")
    command = ["cc", *words, source, "-o", str(tmp_path / "c.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@needs_compiler
def test_it_is_used_from_many_samples_on(fresh: None) -> None:
    assert score._counting(score.MANY - 1) is count_by_numpy
    assert isinstance(score._counting(score.MANY), native.CompiledCounting)


def test_without_a_compiler_numpy_counts_and_it_is_said(
    fresh: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)
    assert native.counting() is native.counting() is count_by_numpy
    said = capsys.readouterr().err
    assert said.count("classes are counted by numpy") == 1
    assert "no C compiler is installed" in said


@needs_compiler
def test_what_counts_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch, fresh: None) -> None:
    monkeypatch.setattr(native.CompiledCounting, "__call__", lambda *_: (np.zeros(9),) * 2)
    made = native.library("counts", Path(native.__file__).parent, ("counts.c",), ())
    with pytest.raises(CoreUnavailable, match="does not count"):
        native.CompiledCounting(made)
