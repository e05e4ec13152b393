"""Contributions in columns, and the file they are kept in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import (
    About,
    Contributions,
    read_outcomes,
    write_outcomes,
)

PARTS = [
    {"errors": np.int64(3), "score": np.array([0.5, 0.25]), "area": np.zeros((2, 4), np.uint16)},
    {"errors": np.int64(0), "score": np.zeros(0), "area": np.zeros((0, 4), np.uint16)},
    {"errors": np.int64(7), "score": np.array([1.0]), "area": np.ones((1, 4), np.uint16)},
]
ABOUT = About(task="detection", ids=["a", "b", "c"], truth="0", truth_samples=3)


def test_rows_owners_and_tables() -> None:
    found = Contributions.of(["a", "b", "c"], PARTS)
    assert found.table("errors").tolist() == [3, 0, 7]
    assert found.rows("score").tolist() == [0.5, 0.25, 1.0]
    assert found.owners("score").tolist() == [0, 0, 2]
    taken = found.take([2, 1, 2])
    assert taken.ids == ("c", "b", "c")
    assert taken.table("errors").tolist() == [7, 0, 7]
    assert taken.rows("score").tolist() == [1.0, 1.0]
    assert taken.owners("area").tolist() == [0, 2]
    with pytest.raises(ValueError, match="another number of rows"):
        found.table("score")
    both = found.beside(taken)
    assert both.table("errors").tolist() == [3, 0, 7, 7, 0, 7]


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    found = Contributions.of(["a", "b", "c"], PARTS)
    for name in ("one.npz", "two.npz"):
        write_outcomes(tmp_path / name, found, ABOUT)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again, about = read_outcomes(tmp_path / "one.npz")
    assert about == ABOUT and again.ids == found.ids
    for name, values in found.values.items():
        assert again.values[name].dtype == values.dtype
        assert np.array_equal(again.values[name], values)
        assert np.array_equal(again.owners(name), found.owners(name))
    assert again.part(0) == found.part(0) != found.part(2)


def saved(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def whole(tmp_path: Path) -> dict[str, np.ndarray]:
    write_outcomes(tmp_path / "whole.npz", Contributions.of(["a", "b", "c"], PARTS), ABOUT)
    with np.load(tmp_path / "whole.npz") as file:
        return dict(file)


@pytest.mark.parametrize(
    "change",
    [
        {"about": np.zeros(3, np.uint8)},
        {"about": np.frombuffer(b'{"schema": "other/1"}', np.uint8)},
        {"rows/score": np.array([5, 5, 5])},
        {"rows/score": np.array([2, 1])},
        {"rows/score": np.array([-7, 1, 1])},
        {"value/score": np.array(["a", "b", "c"])},
        {"value/score": np.float64(1)},
    ],
)
def test_damaged_outcomes_are_refused(tmp_path: Path, change: dict[str, np.ndarray]) -> None:
    (tmp_path / "o.npz").write_bytes(saved(**(whole(tmp_path) | change)))
    with pytest.raises(InputError, match=r"outcomes '.*o.npz'"):
        read_outcomes(tmp_path / "o.npz")


def test_pickles_and_compressed_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "o.npz").write_bytes(saved(about=np.array([{}], object)))
    with pytest.raises(InputError, match=r"no whole \.npz"):
        read_outcomes(tmp_path / "o.npz")
    np.savez_compressed(tmp_path / "o.npz", **whole(tmp_path))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="compressed"):
        read_outcomes(tmp_path / "o.npz")


@given(data=st.data())
def test_any_damage_is_one_sentence(data: st.DataObject, tmp_path_factory: object) -> None:
    folder = tmp_path_factory.mktemp("damage")  # type: ignore[attr-defined]
    write_outcomes(folder / "o.npz", Contributions.of(["a", "b", "c"], PARTS), ABOUT)
    content = bytearray((folder / "o.npz").read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:at]
    else:
        content[at] ^= data.draw(st.integers(1, 255))
    (folder / "o.npz").write_bytes(bytes(content))
    try:
        read_outcomes(folder / "o.npz")
    except InputError as error:
        assert "\n" not in str(error)
