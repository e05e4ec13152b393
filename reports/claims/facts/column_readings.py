"""The ways in which a column of a table may be worked out from its other columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from portproof.reports.claims.read.figure_columns import (
    ACCURACY,
    DIFFERENCE,
    QUOTIENT,
    RATE,
    TIME,
    Cell,
    FigureColumn,
)

RATIO, GAIN, CUT, POINTS = "ratio", "gain", "cut", "points"
_GAIN_WORDS = ("提升", "improve", "gain", "faster", "%", "加速", "reduc")


@dataclass(frozen=True)
class Derived:
    """What a reading gives in a row: the value, what the rounding of its operands leaves open, and
    how it follows.
    """

    form: str
    value: float
    slack: float
    text: str


@dataclass(frozen=True)
class ColumnReading:
    """One way to work a column out: ``top`` and ``bottom`` are columns, or the same column, whose
    cell of the base row (the last one stated as 1, or as a gain of 0) is the other operand;
    ``form`` is ``ratio``, ``gain`` (ratio - 1), ``cut`` (1 - ratio) or ``points`` (top - bottom).
    """

    top: FigureColumn
    bottom: FigureColumn
    form: str
    bases: tuple[int | None, ...] = ()
    inverse: bool = False

    def of(self, row: int) -> Derived | None:
        """What follows in a row, when both operands are there."""
        top, bottom = self.top.cells[row], self.bottom.cells[row]
        if self.bases:
            base = self.bases[row]
            bottom = None if base is None or base == row else self.bottom.cells[base]
        if self.inverse:
            top, bottom = bottom, top
        if top is None or bottom is None or top.value <= 0 or bottom.value <= 0:
            return None
        above, below = _on_one_scale(top, bottom)
        if self.form == POINTS:
            scale = max(above / top.value, below / bottom.value)
            slack = scale * (top.figure.ulp + bottom.figure.ulp) / 2
            return Derived(self.form, above - below, slack, f"{top.shown} - {bottom.shown}")
        value = above / below
        slack = value * (top.figure.ulp / top.value + bottom.figure.ulp / bottom.value) / 2
        result = {RATIO: value, GAIN: value - 1, CUT: 1 - value}[self.form]
        return Derived(self.form, result, slack, f"{top.shown}/{bottom.shown}")


def readings_of(column: FigureColumn, others: list[FigureColumn]) -> list[ColumnReading]:
    """Every way in which a column of quotients or differences may follow from the others."""
    sources = [c for c in others if c.kind not in (QUOTIENT, DIFFERENCE)]
    if column.kind == DIFFERENCE:
        scores = [c for c in sources if c.kind == ACCURACY]
        return [ColumnReading(a, b, POINTS) for a, b in permutations(scores, 2)]
    words = any(word in column.header.lower() for word in _GAIN_WORDS)
    percent = any(cell and cell.percent for cell in column.cells)
    forms = [RATIO, *([GAIN, CUT] if words or percent else [])]
    found = []
    for a, b in permutations(_comparable(column, sources), 2):
        if a.kind == b.kind and _are_named(column, a, b):
            found += [ColumnReading(a, b, form) for form in (forms if a.kind else forms[:1])]
    return found + (list(_by_row(column, sources)) if not column.named else [])


def _comparable(column: FigureColumn, sources: list[FigureColumn]) -> list[FigureColumn]:
    """The rates and times; what the title names; where there is neither, what no title explains."""
    if column.named:
        return [c for c in sources if c.label in column.named]
    measured = [c for c in sources if c.kind in (RATE, TIME)]
    kinds = [c.kind for c in measured]
    if any(kinds.count(kind) > 1 for kind in kinds):
        return measured
    return [c for c in sources if not c.kind and not any(x and x.percent for x in c.cells)]


def _are_named(column: FigureColumn, a: FigureColumn, b: FigureColumn) -> bool:
    """Whether the title names these two, or names none. Times may be turned: the speed is meant."""
    if column.named is None:
        return True
    pair = (a.label, b.label)
    return pair == column.named or (a.kind == TIME and pair == column.named[::-1])


def _by_row(column: FigureColumn, sources: list[FigureColumn]) -> Iterator[ColumnReading]:
    """Quotients over the figure of another row, the one that is stated as 1 or as a gain of 0."""
    for form, same in ((RATIO, (1, 100)), (GAIN, (0,))):
        bases: list[int | None] = []
        last: int | None = None
        for row, cell in enumerate(column.cells):
            last = row if cell and cell.value in same else last
            bases.append(last)
        for source in sources if last is not None else ():
            if source.kind in (RATE, TIME):
                inverse = source.kind == TIME
                yield ColumnReading(source, source, form, tuple(bases), inverse)


def _on_one_scale(top: Cell, bottom: Cell) -> tuple[float, float]:
    """Both values in percent where one is a percentage and the other a fraction."""
    a, b = top.value, bottom.value
    if top.percent != bottom.percent or (max(a, b) > 1 and min(a, b) <= 1 and max(a, b) > 10):
        small, large = sorted((a, b))
        if small <= 1 < large <= 100 and (top.percent or bottom.percent):
            a, b = (a * 100 if a <= 1 else a), (b * 100 if b <= 1 else b)
    return a, b
