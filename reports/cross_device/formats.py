"""A comparison table as Markdown, CSV, JSON and HTML; each escapes labels and paths."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from portproof.core.text import csv_field, markdown, printable, said_once
from portproof.logs.families.own import UNSTABLE
from portproof.policy import PolicyJudgement
from portproof.reports.cross_device.table import Cell, Table

SCHEMA = "portproof.table/1"
REHEARSAL = "REHEARSAL: these figures come from simulated devices"


def number(value: float) -> str:
    """A figure for people, rounded here and nowhere else: four decimals at most, six significant
    digits below 1.

    >>> number(263.872 * 4), number(0.56025796), number(59.0443 * 32)
    ('1055.488', '0.560258', '1889.4176')
    """
    text = f"{value:.4f}".rstrip("0").rstrip(".") if value >= 1 else f"{value:.6g}"
    return text if re.search("[1-9]", text) else f"{value:.6g}"


def _heads(table: Table) -> list[str]:
    return [c.label for c in table.columns] + [f"{a}/{b}" for a, b in table.ratios]


def _mixed(table: Table) -> bool:
    return len(table.boundaries) > 1


def _shown_rows(table: Table, line_break: str) -> list[list[str]]:
    """The rows as people see them: the batch, the cells, the ratios; the best row last."""
    rows = []
    for batch in [*table.batches, None]:
        cells = [c.cells.get(batch) if batch is not None else c.best for c in table.columns]
        ratios = [table.ratio(pair, batch) for pair in table.ratios]
        row = ["best" if batch is None else f"bs{batch}"]
        row += [_shown(cell, batch is None, _mixed(table), line_break) for cell in cells]
        rows.append([*row, *("" if ratio is None else number(ratio) for ratio in ratios)])
    return rows


def _shown(cell: Cell | None, best: bool, mixed: bool, line_break: str) -> str:
    if cell is None:
        return ""
    return (
        number(cell.value)
        + (f" (bs{cell.batch})" if best else "")
        + (f"{line_break}{cell.boundary}" if mixed else "")
    )


def _remarks(table: Table, judgements: Sequence[PolicyJudgement]) -> list[str]:
    """The lines under the table: units, chips, boundary, notes, what was left out, warnings and
    the policies' comparisons.
    """
    boundary = (
        "mixed, under each figure; no ratio across boundaries"
        if _mixed(table)
        else next(iter(table.boundaries), "none, since there is no rate")
    )
    chips = ", ".join(f"{c.label} {c.chips} ({c.chips_from})" for c in table.columns)
    lines = [f"Images per second per card; timing boundary: {boundary}; chips per card: {chips}."]
    clock = [s for s in table.warnings if UNSTABLE in s]
    others = [s for s in table.warnings if UNSTABLE not in s]
    lines += [
        *table.notes,
        *(f"left out: {s}" for s in table.left_out),
        *(f"warning: {s}" for s in [*said_once(clock), *others]),
    ]
    return lines + [line for judgement in judgements for line in judgement.lines()]


def as_text(table: Table, judgements: Sequence[PolicyJudgement] = ()) -> str:
    """The table and its remarks for a terminal: as Markdown, but nothing is escaped for it."""
    return _in_lines(table, judgements, printable, REHEARSAL)


def as_markdown(table: Table, judgements: Sequence[PolicyJudgement] = ()) -> str:
    """The table and its remarks as Markdown."""
    return _in_lines(table, judgements, markdown, f"**{REHEARSAL}**")


def _in_lines(
    table: Table,
    judgements: Sequence[PolicyJudgement],
    escaped: Callable[[str], str],
    rehearsal: str,
) -> str:
    heads = ["", *(escaped(h) for h in _heads(table))]
    rows = [heads, *_shown_rows(table, "<br>")]
    widths = [max(3, *(len(row[i]) for row in rows)) for i in range(len(heads))]
    lines = [
        "| " + " | ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    lines.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    title = [rehearsal, ""] if table.simulated else []
    return "\n".join(
        [*title, *lines, "", *(f"- {escaped(line)}" for line in _remarks(table, judgements)), ""]
    )


def as_csv(table: Table) -> str:
    """One row a batch at full precision, with boundary and chips of each column; an empty field is
    a figure that does not exist.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head = ["batch"]
    for column in table.columns:
        label = csv_field(printable(column.label))
        head += [label, f"{label} batch", f"{label} boundary", f"{label} chips per card"]
    head += [csv_field(printable(f"{a}/{b}")) for a, b in table.ratios]
    writer.writerow([*head, *(["REHEARSAL"] if table.simulated else [])])
    for batch in [*table.batches, None]:
        row: list[Any] = ["best" if batch is None else f"bs{batch}"]
        for column in table.columns:
            cell = column.cells.get(batch) if batch is not None else column.best
            row += (
                [repr(cell.value), cell.batch, cell.boundary, column.chips]
                if cell
                else ["", "", "", column.chips]
            )
        row += [
            "" if (ratio := table.ratio(pair, batch)) is None else repr(ratio)
            for pair in table.ratios
        ]
        writer.writerow([*row, *(["REHEARSAL"] if table.simulated else [])])
    return out.getvalue()


def as_data(table: Table, judgements: Sequence[PolicyJudgement] = ()) -> dict[str, Any]:
    """The table for machines: unrounded, each cell with its working, file and line."""

    def row(batch: int | None) -> dict[str, Any]:
        cells = {
            c.label: c.cells.get(batch) if batch is not None else c.best for c in table.columns
        }
        return {
            "batch": batch,
            "cells": {label: _cell_data(cell) if cell else None for label, cell in cells.items()},
            "ratios": {f"{a}/{b}": table.ratio((a, b), batch) for a, b in table.ratios},
        }

    return {
        "schema": SCHEMA,
        "unit": "images/s per card",
        "boundary": None if _mixed(table) else next(iter(table.boundaries), None),
        "simulated": table.simulated,
        "columns": [
            {"label": c.label, "chips": c.chips, "chips_from": c.chips_from} for c in table.columns
        ],
        "rows": [row(batch) for batch in table.batches],
        "best": row(None),
        "notes": list(table.notes),
        "left_out": list(table.left_out),
        "warnings": list(table.warnings),
        "policies": [
            {
                "policy": j.policy,
                "verdict": str(j.verdict),
                "comparisons": [
                    {
                        name: getattr(c, name)
                        for name in ("name", "measured", "required", "unit", "holds", "text")
                    }
                    for c in j.comparisons
                ],
            }
            for j in judgements
        ],
    }


def _cell_data(cell: Cell) -> dict[str, Any]:
    names = ("value", "printed", "batch", "boundary", "source", "line", "how", "simulated")
    return {name: getattr(cell, name) for name in names}


def as_json(table: Table, judgements: Sequence[PolicyJudgement] = ()) -> str:
    """The table for machines, as JSON text."""
    return (
        json.dumps(as_data(table, judgements), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )


def as_html(table: Table, judgements: Sequence[PolicyJudgement] = ()) -> str:
    """The table and its remarks as one HTML page without scripts or outside resources."""
    head = "".join(f"<th>{html.escape(printable(h))}</th>" for h in ["", *_heads(table)])
    body = "\n".join(
        "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
        for row in _shown_rows(table, "<br>")
    )
    remarks = "\n".join(
        f"<li>{html.escape(printable(line.strip()))}</li>" for line in _remarks(table, judgements)
    )
    title = f"<p><strong>{REHEARSAL}</strong></p>\n" if table.simulated else ""
    style = (
        "td,th{border:1px solid #999;padding:.3em"
        " .6em;text-align:right}table{border-collapse:collapse}body{font-family:sans-serif}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta'
        f' charset="utf-8"><title>Throughput</title><style>{style}</style></head><body>\n'
        f"{title}<table>\n<tr>{head}</tr>\n{body}\n</table>\n<ul>\n{remarks}\n</ul>\n</body></html>\n"
    )
