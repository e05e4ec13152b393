"""Outcomes in columns and as CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.outcome import Outcomes, read_outcomes, write_outcomes
from portproof.packed.ids import SampleIds

ROW = "a,3,3,1,0.5"


def outcomes(rows: list[tuple[str, int, int, int, float]]) -> Outcomes:
    ids, *columns = zip(*rows, strict=True)
    label, predicted, rank = (np.array(c, dtype=np.int64) for c in columns[:3])
    return Outcomes(tuple(ids), label, predicted, rank, np.array(columns[3], dtype=np.float64))


identifiers = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufeff"),
    min_size=1,
    max_size=20,
)
right = st.tuples(identifiers, st.integers(0, 1000), st.floats(2.0**-99, 2.0**99, width=32)).map(
    lambda t: (t[0], t[1], t[1], 1, t[2])
)
wrong = st.tuples(
    identifiers,
    st.integers(0, 1000),
    st.integers(0, 1000),
    st.integers(2, 1000),
    st.floats(-(2.0**99), 0, width=32),
)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(right | wrong, min_size=1, max_size=20, unique_by=lambda row: row[0]))
def test_csv_gives_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int, int, float]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "outcomes.csv"
    before = outcomes(rows)
    write_outcomes(path, before)
    after = read_outcomes(path)
    assert after.ids == before.ids
    for column in ("label", "predicted", "rank"):
        np.testing.assert_array_equal(getattr(after, column), getattr(before, column))
    np.testing.assert_array_equal(after.margin.astype(np.float32), before.margin.astype(np.float32))


def test_the_csv_is_readable_by_others(tmp_path: Path) -> None:
    write_outcomes(
        tmp_path / "o.csv", outcomes([('quote " and, comma', 3, 3, 1, 0.25), ("b", 1, 0, 7, -1.5)])
    )
    with open(tmp_path / "o.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "id": 'quote " and, comma',
        "label": "3",
        "predicted": "3",
        "rank": "1",
        "margin": "0.25",
    }
    assert rows[1]["rank"] == "7"


def test_ids_are_packed_whatever_they_come_in() -> None:
    table = outcomes([("a", 0, 0, 1, 1.0), ("b", 1, 0, 2, -1.0)])
    assert isinstance(table.ids, SampleIds)
    assert tuple(table.ids) == ("a", "b")


def test_hits_and_right_count_ranks() -> None:
    table = outcomes(
        [("a", 0, 0, 1, 1.0), ("b", 0, 1, 2, -1.0), ("c", 0, 1, 5, -1.0), ("d", 0, 1, 6, -1.0)]
    )
    assert table.hits(5) == [1, 2, 2, 2, 3]
    assert table.right.tolist() == [True, False, False, False]
    assert table.take([2, 0]).ids == ("c", "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line"),
        ("id,label\na,1\n", "first line"),
        ("id,label,predicted,rank,margin\n", "no sample"),
        ("id,label,predicted,rank,margin\na,3,3,1\n", "line 2"),
        ("id,label,predicted,rank,margin\n" + ROW + "\nb,x,3,1,0.5\n", "line 3"),
        ("id,label,predicted,rank,margin\na,-1,3,2,-0.5\n", "line 2"),
        ("id,label,predicted,rank,margin\na,3,-1,2,-0.5\n", "line 2"),
        ("id,label,predicted,rank,margin\na,3,3000000000,2,-0.5\n", "line 2"),
        *(
            (f"id,label,predicted,rank,margin\na,{numbers},-0.5\n", "line 2")
            for numbers in (f"3,{2**31},2", f"{2**31},3,2", f"3,4,{2**31}")
        ),
        ("id,label,predicted,rank,margin\na,3,3,0,0.5\n", "line 2"),
        ("id,label,predicted,rank,margin\na,3,3,1,nan\n", "line 2"),
        (
            "id,label,predicted,rank,margin\na,3,4,1,0.5\n",
            "line 2",
        ),  # rank 1, yet another class predicted
        ("id,label,predicted,rank,margin\na,3,3,1,-0.5\n", "line 2"),  # rank 1, yet behind
        ('id,label,predicted,rank,margin\n"a,3,3,1,0.5\n', "not valid CSV"),
        (f"id,label,predicted,rank,margin\n{ROW}\n{ROW}\n", "more than one"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "o.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_outcomes(tmp_path / "o.csv")


def test_a_byte_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "o.csv").write_bytes(b"id,label,predicted,rank,margin\n\xff,3,3,1,0.5\n")
    with pytest.raises(InputError, match=r"byte 31|not UTF-8"):
        read_outcomes(tmp_path / "o.csv")


def test_columns_of_different_length_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        Outcomes(
            ("a", "b"),
            np.zeros(2, np.int64),
            np.zeros(2, np.int64),
            np.ones(2, np.int64),
            np.zeros(1),
        )
