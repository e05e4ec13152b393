"""Columns worked out from two others (a speed-up, ``fp16/fp32``, a drop), worked out again.

Which two columns they are is what most rows show; a title that names both, or a table with no other
two of one kind, says it too. A time counts upside down: what takes half as long is twice as fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.column_readings import (
    CUT,
    GAIN,
    POINTS,
    RATIO,
    ColumnReading,
    Derived,
    readings_of,
)
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.figure_columns import (
    DIFFERENCE,
    QUOTIENT,
    RATE,
    TIME,
    Cell,
    FigureColumn,
    figure_columns,
)
from portproof.reports.claims.read.printed import OTHER_RUN, shown
from portproof.reports.claims.rules.ratios import judged_columns

#: So many rows, and this share of them, show which columns are meant.
_FEWEST, _FEWEST_POINTS, _MOST_OF = 2, 3, 0.6
#: Beyond this a figure is of other operands, and no slip of rounding.
_WRONG = 2 * OTHER_RUN
_POINTS_SLIP = 0.05
_MOST_COLUMNS, _MOST_ROWS = 16, 200


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every column of quotients or differences, in tables as they stand and turned."""
    done = judged_columns(facts)
    for grid in facts.grids:
        for turned in (grid, grid.transposed()):
            columns = figure_columns(turned)[:_MOST_COLUMNS]
            for column in columns:
                worked_out = column.kind in (QUOTIENT, DIFFERENCE)
                if worked_out and (grid.line, column.header) not in done:
                    yield from _column(column, [c for c in columns if c is not column])


def _column(column: FigureColumn, others: list[FigureColumn]) -> Iterator[Answer]:
    stated = {r: c for r, c in enumerate(column.cells[:_MOST_ROWS]) if c is not None and c.value}
    readings = readings_of(column, others)
    fits = [sum(_fits(column, c, reading.of(r)) for r, c in stated.items()) for reading in readings]
    if not fits:
        return
    best = readings[fits.index(max(fits))]
    rows = [row for row in stated if best.of(row)]
    fewest = _FEWEST_POINTS if best.form == POINTS else _FEWEST
    if max(fits) >= fewest and max(fits) >= _MOST_OF * len(rows):
        meant = [best]
    elif _is_said(column, readings):
        meant = [reading for reading in readings if not reading.bases]
    else:
        return
    findings = [_judge(column, stated[row], row, meant, readings) for row in rows]
    wrong = sum(finding.verdict is Agreement.CONTRADICTION for finding in findings)
    doubtful = wrong > 1 and wrong > _MOST_OF * len(findings)
    for finding in findings:
        if doubtful and finding.verdict is Agreement.CONTRADICTION:
            why = f"{finding.derived}; most of the column '{column.header}' does not fit its header"
            yield replace(finding, verdict=Agreement.AMBIGUOUS, derived=why)
        else:
            yield finding


def _is_said(column: FigureColumn, readings: list[ColumnReading]) -> bool:
    """Whether the title names the two columns, or no other two of rates or times are there."""
    pairs = {
        frozenset((id(r.top), id(r.bottom)))
        for r in readings
        if not r.bases and r.top.kind in (RATE, TIME)
    }
    plain = not any(r.bases or r.form != RATIO for r in readings)
    return column.named is not None or (plain and column.kind == QUOTIENT and len(pairs) == 1)


def _values(column: FigureColumn, cell: Cell, form: str) -> tuple[float, ...]:
    """What a stated figure may mean: a percentage is a hundredth."""
    percent = cell.percent or "%" in column.header
    if form == POINTS:
        return (abs(cell.value), abs(cell.value) / 100) if percent else (abs(cell.value),)
    return (cell.value / 100,) if percent else (cell.value,)


def _off(column: FigureColumn, cell: Cell, derived: Derived) -> tuple[float, float]:
    """How far a stated figure is from what follows, and how much of that rounding explains."""
    follows = abs(derived.value) if derived.form == POINTS else derived.value
    value = min(_values(column, cell, derived.form), key=lambda v: abs(v - follows))
    rounding = abs(value / cell.value) * cell.figure.ulp * 1.001
    return abs(value - follows), rounding + derived.slack


def _fits(column: FigureColumn, cell: Cell, derived: Derived | None) -> bool:
    """Whether a cell shows that the reading is meant: it fits, and not for want of digits."""
    if derived is None or cell.figure.digits < _FEWEST:
        return False
    off, rounding = _off(column, cell, derived)
    return off <= rounding + OTHER_RUN * (derived.form != POINTS) * abs(derived.value)


def _judge(
    column: FigureColumn,
    cell: Cell,
    row: int,
    meant: list[ColumnReading],
    readings: list[ColumnReading],
) -> Checked:
    """The verdict on one cell. What other columns give is no contradiction."""
    nearest, off, rounding = min(
        ((derived, *_off(column, cell, derived)) for r in meant if (derived := r.of(row))),
        key=lambda read: read[1] - read[2],
    )
    points = nearest.form == POINTS
    close = rounding + (_POINTS_SLIP if points else _WRONG * abs(nearest.value))
    verdict = graded(off <= rounding, off <= close)
    if verdict is Agreement.CONTRADICTION and any(_fits(column, cell, r.of(row)) for r in readings):
        verdict = Agreement.AMBIGUOUS
    percent = not points and (cell.percent or "%" in column.header)
    follows = f"{shown(100 * nearest.value)}%" if percent else shown(nearest.value)
    less = " - 1" if nearest.form == GAIN else ""
    derived_text = f"{follows} = {'1 - ' if nearest.form == CUT else ''}{nearest.text}{less}"
    kind = "accuracy" if points else "ratio"
    return Checked(verdict, kind, cell.line + 1, cell.shown, derived_text, cell.line + 1)
