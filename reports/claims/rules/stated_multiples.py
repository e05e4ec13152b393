"""Multiples of one column over another in prose, "TensorRT is 2.5 times as fast as PyTorch at batch
8", for columns that bear no device's name. Devices are the business of :mod:`.thresholds`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.column_readings import RATIO, ColumnReading
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.context import TUNED, batches_in, devices_in, states
from portproof.reports.claims.read.figure_columns import RATE, TIME, FigureColumn, figure_columns
from portproof.reports.claims.read.grids import Grid
from portproof.reports.claims.read.printed import NUMBER, OTHER_RUN, as_printed, shown
from portproof.reports.claims.read.rate_cells import batch_of

_TIMES = re.compile(
    rf"(?<![\d.])({NUMBER})\s?(?:倍|times\b|[xX*](?=\s(?:faster|slower|the|as|speed|higher|over)))"
)
_SENTENCE = re.compile(r"[;。!?]|\.(?=\s|$)")
_BOUND = re.compile(
    r"up to|over(?=\s\d)|more than|at least|about|nearly|almost|around|average|mean"
    r"|最高|超过|以上|约|平均|should|must|target|require|expect|要求|目标",
    re.IGNORECASE,
)
_SLOWER = re.compile(r"slower|longer|慢", re.IGNORECASE)
_BATCH = re.compile(r"b[ae]t?ch|(?<![A-Za-z])bs(?![A-Za-z])", re.IGNORECASE)
_LONGEST, _MOST_TABLES, _LEAST_LABEL = 400, 40, 2


@dataclass(frozen=True)
class _Measured:
    """The rates or times of a table, with the batch of each row."""

    columns: tuple[FigureColumn, ...]
    batches: tuple[int | None, ...]


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every sentence with one multiple, one batch, and the titles of two columns of one table."""
    tables = [t for grid in facts.grids[:_MOST_TABLES] if len((t := _measured(grid)).columns) > 1]
    for number, line in enumerate(facts.document.lines if tables else ()):
        prose = "|" not in facts.document.raw[number] and len(line) <= _LONGEST
        if prose and states(facts.document, number) and not TUNED.search(line):
            for sentence in _SENTENCE.split(line):
                multiples = list(_TIMES.finditer(sentence))
                if len(multiples) == 1 and not _BOUND.search(sentence):
                    yield from _sentence(number, sentence, multiples[0], tables)


def _measured(grid: Grid) -> _Measured:
    titles = [cell.text for cell in grid.rows[0]]
    at = next((i for i, text in enumerate(titles) if _BATCH.search(text)), 0)
    batches = tuple(
        batch_of(row[at].text, bool(_BATCH.search(titles[at]))) for row in grid.rows[1:]
    )
    columns = figure_columns(grid)
    measured = [c for c in columns if c.kind in (RATE, TIME) and len(c.label) >= _LEAST_LABEL]
    return _Measured(tuple(c for c in measured if not devices_in(c.header)), batches)


def _sentence(
    number: int, sentence: str, multiple: re.Match[str], tables: list[_Measured]
) -> Iterator[Answer]:
    batches = batches_in(sentence)
    for table in tables if len(batches) == 1 else ():
        rows = [row for row, batch in enumerate(table.batches) if batch == batches[0]]
        pair = _pair(sentence, multiple, table.columns)
        if pair is None or len(rows) != 1:
            continue
        top, bottom = pair
        # What takes half as long is twice as fast.
        reading = ColumnReading(top, bottom, RATIO, inverse=top.kind == TIME)
        derived = reading.of(rows[0])
        cell = top.cells[rows[0]]
        if derived is None or cell is None:
            continue
        stated = as_printed(multiple[1])
        value = 1 / stated.value if _SLOWER.search(sentence) and stated.value else stated.value
        off = abs(value - derived.value)
        rounding = stated.ulp * 1.001 + derived.slack
        # "2 times faster" may mean a gain of 2: three times as fast.
        gain = "faster" in sentence and abs(value + 1 - derived.value) <= rounding
        close = off <= rounding + 2 * OTHER_RUN * derived.value
        verdict = graded(off <= rounding, close or gain)
        text = f"{shown(derived.value)} = {derived.text}"
        yield Checked(verdict, "ratio", number + 1, multiple[0], text, cell.line + 1)
        if verdict is not Agreement.AMBIGUOUS:
            return


def _pair(
    sentence: str, multiple: re.Match[str], columns: tuple[FigureColumn, ...]
) -> tuple[FigureColumn, FigureColumn] | None:
    """The column that is called faster (or slower) and the one that it is compared with: the only
    two of one kind that the sentence names, in its order.
    """
    named = []
    for column in columns:
        word = rf"(?<![A-Za-z0-9-]){re.escape(column.label)}(?![A-Za-z0-9-])"
        found = list(re.finditer(word, sentence, re.IGNORECASE))
        if len(found) == 1:
            named.append((found[0].start(), column))
    if len(named) != 2 or named[0][1].kind != named[1][1].kind:
        return None
    (first, top), (second, bottom) = sorted(named, key=lambda pair: pair[0])
    chinese = multiple[0].endswith("倍")
    ordered = second < multiple.start() if chinese else first < multiple.start() < second
    return (top, bottom) if ordered and top.label != bottom.label else None
