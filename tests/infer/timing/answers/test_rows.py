"""Rows that differ strongly, and stay what a model takes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from portproof.backend import TensorSpec
from portproof.infer.timing.answers.rows import strong_rows, turned
from portproof.infer.timing.processes.feed import Feeding

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "like",
    [
        RNG.normal(size=(1, 3, 16, 16)).astype(np.float32),
        np.zeros((1, 3, 16, 16), np.float16),
        RNG.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8),
        RNG.integers(5, 9000, (1, 40), dtype=np.int64),
        np.zeros((1, 40), np.int32),
        RNG.uniform(0, 1e-3, (1, 400)).astype(np.float32),
    ],
    ids=lambda a: f"{a.dtype}-{a.shape}",
)
def test_rows_differ_in_most_places_and_keep_range_and_dtype(like: Any) -> None:
    rows = strong_rows({"x": like}, 8)["x"]
    assert rows.dtype == like.dtype
    assert rows.shape == (8, *like.shape[1:])
    for one, other in itertools.combinations(rows, 2):
        assert np.mean(one != other) > 0.3
    if like.dtype.kind in "iu" and like.any() and like.dtype != np.uint8:
        assert set(rows.reshape(-1)) <= set(like.reshape(-1))
        assert (rows[:, 0] == like.max()).all()
    elif like.any():
        assert rows.min() >= min(0, like.min())
        assert rows.max() <= (255 if like.dtype == np.uint8 else like.max() + 1e-6)
    np.testing.assert_array_equal(strong_rows({"x": like}, 3)["x"], rows[:3])


def test_odd_shapes_have_rows_too() -> None:
    like = {"scale": np.ones((1,), np.float32), "mask": np.ones((1, 4), np.bool_)}
    rows = strong_rows(like, 3)
    assert {name: array.shape for name, array in rows.items()} == {"scale": (3,), "mask": (3, 4)}
    assert len(set(rows["scale"])) == 3
    assert rows["mask"][:, 0].all()


def test_turned_rows_move_on_by_one() -> None:
    assert turned({"x": np.arange(4)})["x"].tolist() == [3, 0, 1, 2]


def test_row_n_is_the_same_at_every_batch() -> None:
    specs = (
        TensorSpec("a", "float32", (None, 5)),
        TensorSpec("b", "int64", (None, 3)),
        TensorSpec("c", "uint8", (None, 3)),
    )
    feeding = Feeding("random", None, {})
    one, four = feeding.batches(specs, 1), feeding.batches(specs, 4)
    for name in ("a", "b", "c"):
        np.testing.assert_array_equal(np.concatenate([f[name] for f in one]), four[0][name])
    assert feeding.numbers(4) == [0, 1, 2, 3]
    assert Feeding("zeros", None, {}).numbers(3) == [0, 0, 0]
