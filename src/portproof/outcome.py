"""Outcomes: what became of every sample, in columns, since there are up to millions of them.

The file form is CSV with the header ``id,label,predicted,rank,margin``, one row a sample. An id
that a spreadsheet would take for a formula has an apostrophe before it. It is written and read part
by part.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import atomic_writer, existing_file, read_text
from portproof.core.text import csv_field, from_csv_field
from portproof.packed.ids import IdBuilder, SampleIds

COLUMNS = ("id", "label", "predicted", "rank", "margin")
#: Rows that are text at one time.
_TOGETHER = 1 << 14


@dataclass(frozen=True, eq=False)
class Outcomes:
    """One entry a sample in every column; entry *i* of all columns is sample ``ids[i]``.

    ``label`` and ``predicted`` are indices into the model's output (so a model with a background
    class has its labels shifted by one); ``predicted`` is the lowest index on a tie. ``rank`` is
    the label's, 1 when right; ties count against the model. ``margin`` is the label's logit minus
    the best other one: positive when right. ``ids`` become :class:`SampleIds`.
    """

    ids: Sequence[str]
    label: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rank: NDArray[np.int64]
    margin: NDArray[np.float64]

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", SampleIds.of(self.ids))
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
        if np.array_equal(at, np.arange(len(self))):
            return self
        ids = SampleIds.of(self.ids).take(at)
        return Outcomes(ids, self.label[at], self.predicted[at], self.rank[at], self.margin[at])

    def csv_parts(self) -> Iterator[str]:
        """The CSV text, part by part. A margin has 9 significant digits, enough to give back any
        float32.
        """
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(COLUMNS)
        for first in range(0, len(self), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            margins = [f"{m:.9g}" for m in self.margin[part].tolist()]
            counts = (column[part].tolist() for column in (self.label, self.predicted, self.rank))
            writer.writerows(zip(map(csv_field, self.ids[part]), *counts, margins, strict=True))
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue()

    def to_csv(self) -> str:
        """The whole CSV text."""
        return "".join(self.csv_parts())


def write_outcomes(path: str | os.PathLike[str], outcomes: Outcomes) -> None:
    """Write the CSV file, atomically."""
    with atomic_writer(path) as file:
        for part in outcomes.csv_parts():
            file.write(part.encode("utf-8"))


def read_outcomes(path: str | os.PathLike[str]) -> Outcomes:
    """Read the CSV file; :class:`InputError` names the line that is wrong, or the ids that occur
    there twice.
    """
    try:
        with open(existing_file(path, "outcomes"), encoding="utf-8-sig") as file:
            return _outcomes_in(csv.reader(file, strict=True), path)
    except UnicodeDecodeError:
        read_text(path, "outcomes")  # says which byte of the file it is
        raise


def _outcomes_in(rows: Any, path: str | os.PathLike[str]) -> Outcomes:
    """The outcomes of a CSV reader."""
    ids, columns = IdBuilder(), [np.zeros((0, 4), np.float64)]
    try:
        header = next(rows, None)
        if header is None or tuple(header) != COLUMNS:
            raise InputError(
                f"outcomes '{path}': the first line must be '{','.join(COLUMNS)}'; is this a file"
                " of 'portproof topn --outcomes'?"
            )
        lines = (_row(row, path, rows.line_num) for row in rows if row)
        while part := list(islice(lines, _TOGETHER)):
            names, *numbers = zip(*part, strict=True)
            ids.add(names)
            columns.append(np.array(numbers, dtype=np.float64).T)
    except csv.Error as error:
        raise InputError(
            f"outcomes '{path}', line {rows.line_num}: not valid CSV ({error})"
        ) from error
    label, predicted, rank, margin = np.concatenate(columns).T
    if not len(label):
        raise InputError(f"outcomes '{path}' hold no sample: at least one row was expected")
    found = ids.ids()
    found.check_unique(f"outcomes '{path}'")
    counts = [column.astype(np.int64) for column in (label, predicted, rank)]
    return Outcomes(found, counts[0], counts[1], counts[2], margin.copy())


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
