"""Outcomes: what became of every sample, in columns, since a validation set has 50,000 of them.

The file form is CSV with the header ``id,label,predicted,rank,margin``, one row a sample. An id
that a spreadsheet would take for a formula has an apostrophe before it.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_text, write_text
from portproof.core.text import csv_field, from_csv_field
from portproof.manifest import check_unique

COLUMNS = ("id", "label", "predicted", "rank", "margin")


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One entry a sample in every column; entry *i* of all columns is sample ``ids[i]``.

    ``label`` and ``predicted`` are indices into the model's output (so a model with a background
    class has its labels shifted by one); ``predicted`` is the lowest index on a tie. ``rank`` is
    the label's, 1 when right; ties count against the model. ``margin`` is the label's logit minus
    the best other one: positive when right.
    """

    ids: tuple[str, ...]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rank: NDArray[np.int64]
    margin: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {
            len(column) for column in (self.ids, self.label, self.predicted, self.rank, self.margin)
        }
        if len(lengths) != 1:
            raise ValueError(f"the columns of outcomes have different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which samples the model got right: rank 1, so a tie with the label is wrong."""
        return np.equal(self.rank, 1)

    def hits(self, n: int) -> list[int]:
        """How many samples have their label among the first 1, 2, ..., ``n`` ranks."""
        return [int(np.count_nonzero(self.rank <= k)) for k in range(1, n + 1)]

    def take(self, order: Sequence[int] | NDArray[np.int64]) -> Outcomes:
        """The samples at these positions, in this order."""
        at = np.asarray(order, dtype=np.int64)
        ids = tuple(self.ids[i] for i in at.tolist())
        return Outcomes(ids, self.label[at], self.predicted[at], self.rank[at], self.margin[at])

    def to_csv(self) -> str:
        """The CSV text. A margin has 9 significant digits, enough to give back any float32."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        margins = [f"{m:.9g}" for m in self.margin.tolist()]
        ids = map(csv_field, self.ids)
        writer.writerows(
            zip(
                ids,
                self.label.tolist(),
                self.predicted.tolist(),
                self.rank.tolist(),
                margins,
                strict=True,
            )
        )
        return buffer.getvalue()


def write_outcomes(path: str | os.PathLike[str], outcomes: Outcomes) -> None:
    """Write the CSV file, atomically."""
    write_text(path, outcomes.to_csv())


def read_outcomes(path: str | os.PathLike[str]) -> Outcomes:
    """Read the CSV file; :class:`InputError` names the line that is wrong, or the ids that occur
    there twice.
    """
    rows = csv.reader(io.StringIO(read_text(path, "outcomes")), strict=True)
    try:
        header = next(rows, None)
        if header is None or tuple(header) != COLUMNS:
            raise InputError(
                f"outcomes '{path}': the first line must be '{','.join(COLUMNS)}'; is this a file"
                " of 'portproof topn --outcomes'?"
            )
        parsed = [_row(row, path, rows.line_num) for row in rows if row]
    except csv.Error as error:
        raise InputError(
            f"outcomes '{path}', line {rows.line_num}: not valid CSV ({error})"
        ) from error
    if not parsed:
        raise InputError(f"outcomes '{path}' hold no sample: at least one row was expected")
    ids, *columns = zip(*parsed, strict=True)
    check_unique(ids, f"outcomes '{path}'")
    label, predicted, rank = (np.array(column, dtype=np.int64) for column in columns[:3])
    return Outcomes(tuple(ids), label, predicted, rank, np.array(columns[3], dtype=np.float64))


def _row(row: list[str], path: str | os.PathLike[str], line: int) -> tuple[Any, ...]:
    try:
        name, label, predicted, rank, margin = row
        values = (from_csv_field(name), int(label), int(predicted), int(rank), float(margin))
        sound = (
            bool(name)
            and values[1] >= 0
            and values[2] >= 0
            and values[3] >= 1
            and max(values[1:4]) < 2**31
            and values[4] == values[4]
        )
        # A right sample is the predicted one, strictly ahead of the others; anything else is not a
        # table of PortProof's.
        sound = (
            sound
            and (values[3] == 1) == (values[4] > 0)
            and (values[3] > 1 or values[1] == values[2])
        )
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            f"outcomes '{path}', line {line}: '{','.join(COLUMNS)}' was expected, with rank 1"
            f" exactly where the label is ahead; got {row!r}"
        )
    return values
