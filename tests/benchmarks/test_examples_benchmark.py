"""The drops that the benchmark of the examples plants are what it says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def benchmark(root: Path) -> ModuleType:
    """The benchmark as a module; it sets the path as a script does, which is undone."""
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("examples_bench", root / "benchmarks/examples.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def test_so_many_samples_have_the_answer_of_another(benchmark: ModuleType, tmp_path: Path) -> None:
    result = tmp_path / "result"
    result.mkdir()
    (tmp_path / "result.proof.json").write_text("{}")
    for i in range(40):
        for number in (1, 2):
            np.array([i, number], np.float32).tofile(result / f"a_{i}_{number}.bin")
    out = benchmark.exchanged(result, tmp_path / "worse", 0.25, np.random.default_rng(0))
    read = {
        (i, n): np.fromfile(out / f"a_{i}_{n}.bin", np.float32).tolist()
        for i in range(40)
        for n in (1, 2)
    }
    assert sum(read[i, 1][0] != i for i in range(40)) == 10
    assert all(read[i, 1][0] == read[i, 2][0] for i in range(40))  # all outputs of one sample
    assert sorted(read[i, 1][0] for i in range(40)) == list(range(40))
    assert (tmp_path / "worse.proof.json").is_file()


def test_of_several_models_one_column_is_run(benchmark: ModuleType) -> None:
    assert benchmark.targets("detector") == benchmark.COLUMNS
    assert benchmark.targets("dates") == ("cpu",)
