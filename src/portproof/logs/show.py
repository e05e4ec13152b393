"""The runs found in logs, written out: a table for people, JSON for machines."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

import msgspec

from portproof.core.text import printable
from portproof.logs.consistency import warn_across
from portproof.logs.logged import Figure, Run
from portproof.logs.read import logs_in, read_many


def expand(paths: Iterable[str]) -> tuple[list[Run], list[str]]:
    """The runs of logs and of folders of logs, and a sentence for each file named that holds none.

    Runs that belong together are checked against each other. In a folder only what proves to be a
    log counts; the rest of it is not an error unless nothing is left.
    """
    runs: list[Run] = []
    problems: list[str] = []
    for is_folder, group in itertools.groupby(paths, key=os.path.isdir):
        if not is_folder:
            found, unreadable = read_many(group)
            runs, problems = [*runs, *found], [*problems, *unreadable]
            continue
        for folder in group:
            found, _ = read_many(logs_in(folder))
            runs += found
            problems += [] if found else [f"the folder '{folder}' holds no log of a known tool"]
    warn_across(runs)
    return runs, problems


def as_json(runs: list[Run]) -> str:
    """A list of runs in the published form."""
    return msgspec.json.format(
        msgspec.json.encode([run.as_dict() for run in runs]), indent=1
    ).decode()


def as_text(runs: list[Run]) -> str:
    """One block a run: what it is, its figures in columns, its warnings."""
    return "\n".join(map(_block, runs)) if runs else "no runs"


def _block(run: Run) -> str:
    batch = f"batch {run.batch} ({run.batch_source})" if run.batch else "batch not known"
    title = [
        f"{printable(run.source)}:{run.line}",
        run.family + (f" {run.tool_version}" if run.tool_version else ""),
        run.status,
        batch,
    ]
    title += [f"{run.chips} chips"] if run.chips else []
    title += [printable(str(run.facts["label"]))] if run.facts.get("label") else []
    rows = [_row(one) for one in run.figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = ["  ".join(title)]
    lines += [
        "  "
        + "  ".join(
            f"{cell:>{w}}" if i == 1 else f"{cell:<{w}}"
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines += [f"  ! {printable(warning)}" for warning in run.warnings]
    return "\n".join(lines)


def _row(one: Figure) -> list[str]:
    remark = "; ".join(filter(None, (f"= {one.derived}" if one.derived else "", one.note or "")))
    shown = (
        f"{one.value:.7g}"
        if one.value is not None
        else f"null ({one.recovered:.7g} recovered)"
        if one.recovered
        else "null"
    )
    return [
        one.name,
        shown,
        one.unit,
        one.boundary or "-",
        one.stage or "-",
        f"per {one.per}" if one.per else "-",
        f"line {one.line}",
        remark,
    ]
