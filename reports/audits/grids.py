"""Tables in Markdown and HTML, as grids of cells that remember their lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from portproof.reports.audits.document import Document, plain

_RULE = re.compile(r"[\s|:>\-]+")
_HTML = re.compile(r"<(/?)(table|tr|td|th)\b([^<>]*)>", re.IGNORECASE)
_SPAN = re.compile(r"(row|col)span\s*=\s*[\"']?(\d{1,3})", re.IGNORECASE)
_MOST_CELLS = 4_000
_WIDEST_SPAN = 40


@dataclass(frozen=True)
class Cell:
    """The text of one cell and the index of its line."""

    text: str
    line: int


@dataclass(frozen=True)
class Grid:
    """A table. All rows are as long as the longest; ``rows[0]`` is the header."""

    rows: tuple[tuple[Cell, ...], ...]

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


def _squared(rows: list[list[Cell]]) -> Grid | None:
    width = max((len(row) for row in rows), default=0)
    if len(rows) < 2 or width < 2 or width * len(rows) > _MOST_CELLS:
        return None
    return Grid(tuple(tuple(row + [Cell("", row[0].line)] * (width - len(row))) for row in rows if row))


def _markdown(document: Document) -> Iterator[Grid]:
    lines = document.raw
    number = 1
    while number < len(lines):
        if not _is_rule(lines[number]) or "|" not in lines[number - 1]:
            number += 1
            continue
        rows = [_split(lines[number - 1], number - 1)]
        number += 1
        while number < len(lines) and "|" in lines[number]:
            if not _is_rule(lines[number]):
                rows.append(_split(lines[number], number))
            number += 1
        grid = _squared(rows)
        if grid:
            yield grid


def _is_rule(line: str) -> bool:
    return "-" in line and "|" in line and _RULE.fullmatch(line.strip()) is not None


def _split(line: str, number: int) -> list[Cell]:
    text = line.replace("\\|", "/").replace("｜", "|").strip().lstrip(">").strip()
    text = text.removeprefix("|").removesuffix("|")
    return [Cell(plain(part).strip(), number) for part in text.split("|")]


def _html(document: Document) -> Iterator[Grid]:
    """Tables of ``<tr>`` and ``<td>``; spans are filled with the cell that spans."""
    rows: list[list[Cell]] = []
    row: dict[int, Cell] = {}
    pending: dict[int, tuple[int, Cell]] = {}
    opened: tuple[str, list[str], int] | None = None
    inside = False

    def close_cell() -> None:
        nonlocal opened
        if opened:
            attributes, parts, at = opened
            spans = {name.lower(): min(int(size), _WIDEST_SPAN) for name, size in _SPAN.findall(attributes)}
            cell = Cell(" ".join(plain(" ".join(parts)).split()), at)
            for _ in range(max(spans.get("col", 1), 1)):
                column = next(i for i in range(len(row) + 1) if i not in row)
                row[column] = cell
                if spans.get("row", 1) > 1:
                    pending[column] = (spans["row"] - 1, cell)
            opened = None

    def close_row(number: int) -> None:
        nonlocal row
        close_cell()
        if row:
            rows.append([row.get(i, Cell("", number)) for i in range(max(row) + 1)])
        row = {column: replace(cell, line=number) for column, (left, cell) in pending.items() if left > 0}
        for column, (left, cell) in list(pending.items()):
            if left > 1:
                pending[column] = (left - 1, cell)
            else:
                del pending[column]

    for number, line in enumerate(document.raw):
        at = 0
        for match in _HTML.finditer(line):
            if opened:
                opened[1].append(line[at : match.start()])
            at = match.end()
            closing, tag = bool(match[1]), match[2].lower()
            if tag == "table":
                if closing or inside:
                    close_row(number)
                    grid = _squared([r for r in rows if r])
                    if grid:
                        yield grid
                rows, row, pending, opened, inside = [], {}, {}, None, not closing
            elif not inside:
                continue
            elif tag == "tr":
                if closing or row or opened:
                    close_row(number)
            else:
                close_cell()
                if not closing:
                    opened = (match[3], [], number)
        if opened:
            opened[1].append(line[at:])
