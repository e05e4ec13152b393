"""An order of the samples beside another fault, where neither shows alone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from portproof.metrics.diagnosis.likeness import Measure
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.steps.any_sample import orders_beside_another_fault

from ..world import CLASSES, MEAN, STD, World

Change = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("plain"), 96)


def shuffled(rows: np.ndarray) -> np.ndarray:
    return rows[np.random.default_rng(4).permutation(len(rows))]


@pytest.mark.parametrize("bend", [np.square, lambda r: np.abs(r + 0.3 * r.std())])
def test_samples_shuffled_beside_a_function_that_does_not_grow(plain: World, bend: Change) -> None:
    diagnosis = plain.diagnose(shuffled(bend(plain.right)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["samples-shuffled", "outputs-changed"], diagnosis.to_text()
    assert "one function bends every value" in diagnosis.faults[0].evidence


def test_lost_signs_are_seen_before_an_order(plain: World) -> None:
    diagnosis = plain.diagnose(shuffled(np.abs(plain.right)))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["outputs-changed", "samples-shuffled"], diagnosis.to_text()
    assert not any(f.alike for f in diagnosis.faults)


@pytest.mark.parametrize("by_class", [True, False])
def test_batches_along_the_other_axis_beside_another_order(plain: World, by_class: bool) -> None:
    batches = shuffled(plain.right).reshape(-1, 16, CLASSES)
    made = [b.T.reshape(16, CLASSES) if by_class else b.reshape(CLASSES, 16).T for b in batches]
    diagnosis = plain.diagnose(np.concatenate(made))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["output-axes", "samples-shuffled"], diagnosis.to_text()


def test_an_order_is_seen_through_a_fault_that_leaves_some_of_each_answer(plain: World) -> None:
    added = [((p + np.uint8(77)) / 255 - MEAN) / STD for p in plain.pixels()]
    rows = plain.infer(np.stack(added).transpose(0, 3, 1, 2).astype(np.float32))
    diagnosis = plain.diagnose(np.roll(rows, 16, axis=0))
    faults = [f.fault for f in diagnosis.faults]
    assert faults == ["samples-shifted", "overflow"], diagnosis.to_text()
    assert "standard errors beyond chance" in diagnosis.faults[0].evidence


def seen(right: np.ndarray, port: np.ndarray) -> list[str]:
    """The orders behind which another fault is looked for; both (samples, classes)."""
    ids = [f"{i:03}" for i in range(len(port))]
    here = np.arange(len(port))
    truth = right.argmax(axis=1)
    compared = SimpleNamespace(port=port, at=here, every=ids, ids=ids, labels=truth, truth=truth)
    measure = Measure(port, right)
    tries = SimpleNamespace(
        state=SimpleNamespace(compared=compared, right=right, made=None),
        measure=measure, port=measure(port), plain=measure(right),
    )  # fmt: skip
    found = orders_beside_another_fault(cast(Preprocessing, tries))
    return [f.candidate.evidence for f in found]


RIGHT = np.random.default_rng(1).standard_normal((160, CLASSES))
#: Another fault left half of each answer, or turned what it left into its opposite.
HALF = 0.6 * RIGHT + np.random.default_rng(2).standard_normal(RIGHT.shape)


@pytest.mark.parametrize("rows", [HALF, HALF - 1.2 * RIGHT])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: np.roll(r, 16, axis=0), "the offset is -16 samples"),
        (lambda r: r[::-1], "the order is reversed"),
        (
            lambda r: np.concatenate([b.T.reshape(16, -1) for b in r.reshape(-1, 16, CLASSES)]),
            "batches of 16 were written class by class",
        ),
    ],
)
def test_orders_are_seen_through_another_fault(rows: np.ndarray, change: Change, said: str) -> None:
    (evidence,) = seen(RIGHT, change(rows))
    assert said in evidence and "beyond chance" in evidence


@pytest.mark.parametrize("rows", [HALF, np.random.default_rng(3).standard_normal(RIGHT.shape)])
def test_no_order_is_seen_where_there_is_none(rows: np.ndarray) -> None:
    assert not seen(RIGHT, rows)
