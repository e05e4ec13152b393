"""Tables in Markdown and HTML, as grids of cells that remember their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from portproof.reports.claims.read.plain_text import Document, cells_of, is_table_rule, plain

_HTML = re.compile(r"<(/?)(table|tr|td|th)\b([^<>]*)>", re.IGNORECASE)
_SPAN = re.compile(r"(row|col)span\s*=\s*[\"']?(\d{1,3})", re.IGNORECASE)
_MOST_CELLS = 4_000
_WIDEST_SPAN = 40


@dataclass(frozen=True)
class GridCell:
    """The text of one cell and the index of its line."""

    text: str
    line: int


@dataclass(frozen=True)
class Grid:
    """A table. All rows are as long as the longest; ``rows[0]`` is the header."""

    rows: tuple[tuple[GridCell, ...], ...]

    @property
    def line(self) -> int:
        """The index of the header's line."""
        return self.rows[0][0].line

    def transposed(self) -> Grid:
        """The same table with rows and columns exchanged."""
        return Grid(tuple(zip(*self.rows, strict=True)))


def grids(document: Document) -> list[Grid]:
    """All tables of the document, in order."""
    return sorted([*_markdown(document), *_html(document)], key=lambda grid: grid.line)


def _squared(rows: list[list[GridCell]]) -> Grid | None:
    width = max((len(row) for row in rows), default=0)
    if len(rows) < 2 or width < 2 or width * len(rows) > _MOST_CELLS:
        return None
    return Grid(
        tuple(tuple(row + [GridCell("", row[0].line)] * (width - len(row))) for row in rows if row)
    )


def _markdown(document: Document) -> Iterator[Grid]:
    for first, end in document.tables:
        rows = [
            [GridCell(plain(text).strip(), number) for text in cells_of(document.raw[number])]
            for number in range(first, end)
            if not is_table_rule(document.raw[number])
        ]
        grid = _squared(rows)
        if grid:
            yield grid


def _html(document: Document) -> Iterator[Grid]:
    """Tables of ``<tr>`` and ``<td>``, which Markdown leaves as they are; spans are filled with the
    cell that spans. Tags may be left open, and text between them may hold ``<``.
    """
    table: _HtmlTable | None = None
    for number, line in enumerate(document.raw):
        at = 0
        for match in _HTML.finditer(line):
            if table:
                table.text(line[at : match.start()])
            at = match.end()
            closing, tag = bool(match[1]), match[2].lower()
            if tag == "table":
                grid = table.finished(number) if table else None
                if grid:
                    yield grid
                table = None if closing else _HtmlTable()
            elif table and tag == "tr":
                table.close_row(number)
            elif table:
                table.close_cell()
                if not closing:
                    table.open_cell(match[3], number)
        if table:
            table.text(line[at:])


class _HtmlTable:
    """The table that is being read."""

    def __init__(self) -> None:
        self.rows: list[list[GridCell]] = []
        self.row: dict[int, GridCell] = {}
        #: For each column, how many more rows its cell spans.
        self.spanning: dict[int, tuple[int, GridCell]] = {}
        self.opened: tuple[str, list[str], int] | None = None
        self.has_own_cell = False

    def open_cell(self, attributes: str, number: int) -> None:
        """Begin a cell with the attributes of its tag."""
        self.opened = (attributes, [], number)

    def text(self, part: str) -> None:
        """Add text to the open cell; text between cells is dropped."""
        if self.opened:
            self.opened[1].append(part)

    def close_cell(self) -> None:
        """Put the open cell into the first free columns of the row."""
        if self.opened is None:
            return
        attributes, parts, at = self.opened
        self.opened, self.has_own_cell = None, True
        spans = {
            name.lower(): min(int(size), _WIDEST_SPAN) for name, size in _SPAN.findall(attributes)
        }
        cell = GridCell(" ".join(plain(" ".join(parts)).split()), at)
        for _ in range(max(spans.get("col", 1), 1)):
            column = next(i for i in range(len(self.row) + 1) if i not in self.row)
            self.row[column] = cell
            if spans.get("row", 1) > 1:
                self.spanning[column] = (spans["row"], cell)

    def close_row(self, number: int) -> None:
        """End a row, if it has a cell: both ``<tr>`` and ``</tr>`` come here."""
        self.close_cell()
        if not self.has_own_cell:
            return
        self.has_own_cell = False
        self.rows.append([self.row.get(i, GridCell("", number)) for i in range(max(self.row) + 1)])
        self.spanning = {
            column: (left - 1, cell) for column, (left, cell) in self.spanning.items() if left > 1
        }
        self.row = {
            column: replace(cell, line=number) for column, (_, cell) in self.spanning.items()
        }

    def finished(self, number: int) -> Grid | None:
        """The table as a grid, None if it has too few or too many cells."""
        self.close_row(number)
        return _squared(self.rows)
