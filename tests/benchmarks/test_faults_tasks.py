"""Token types and COCO's ids: faults planted in the two models that the benchmark makes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def bench() -> Any:
    path = list(sys.path)
    sys.path.insert(0, str(BENCHMARKS))
    import faults_tasks

    sys.path[:] = path
    return faults_tasks


@pytest.fixture(scope="module")
def pairs(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("pairs")
    return bench.Port("pairs", folder, folder / "planted")


@pytest.fixture(scope="module")
def coco(bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("coco")
    return bench.Port("coco", folder, folder / "planted")


def test_token_types(bench: Any, pairs: Any) -> None:
    for right, change in bench.TYPES.values():
        parts = [change(dict(zip(pairs.inputs.parts, a, strict=True))) for a in pairs.arrays]
        made = pairs.runner.run([[p[n] for n in pairs.inputs.parts] for p in parts])
        found = pairs.diagnose(pairs.results(made))
        assert found.fault == right, found.to_text()
    assert pairs.diagnose(pairs.results(pairs.right)).fault == "none"


def test_ids_of_coco(bench: Any, coco: Any) -> None:
    assert coco.diagnose(coco.predictions({})).fault == "none"
    for name in ("80 from 0", "80 from 1", "91 from 0", "in any order"):
        right, changed = bench.RECORDS["coco"][name]
        found = coco.diagnose(coco.predictions(changed))
        assert found.fault == right, found.to_text()
        assert found.faults[0].accuracy_after == found.reference_accuracy


def test_classes_that_correspond_to_none_are_refused(coco: Any) -> None:
    from portproof.core.errors import InputError

    ids = tuple(np.random.default_rng(2).integers(100, 900, 80).tolist())
    path = coco.predictions({"class_ids": ids})
    text = path.read_text()
    path.write_text(text.replace('"bbox": [', '"bbox": [3'))
    with pytest.raises(InputError, match="category_id that the truth does not have"):
        coco.diagnose(path)
