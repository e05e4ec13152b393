"""Rates that are never in one table: rehearsed and measured ones, or of different boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.logs.logged import Run
from portproof.reports.cross_device.headline import headline
from portproof.reports.cross_device.table import Table

_WORDS = {
    "device": "the device's own rate",
    "device+copies": "the rate with copies",
    "call": "the host's rate of calls",
    "end_to_end": "the rate from file to result",
}


def refuse_rehearsal_beside_measurement(table: Table) -> None:
    """:class:`InputError` if the table has both."""
    kinds: dict[bool, list[str]] = {}
    for column in table.columns:
        for cell in column.cells.values():
            kinds.setdefault(cell.simulated, []).append(column.label)
    if len(kinds) > 1:
        raise InputError(
            f"the figures of {listed(sorted(set(kinds[True])))} are a REHEARSAL (simulated), those"
            f" of {listed(sorted(set(kinds[False])))} are measured; they are never shown side by"
            " side: give only one kind"
        )


def mixture(table: Table, runs: Mapping[str, Sequence[Run]]) -> str:
    """One sentence: which columns are timed at which boundary, and what can be compared instead."""
    kinds = [
        (c.label, "/".join(sorted({cell.boundary for cell in c.cells.values()})))
        for c in table.columns
    ]
    parts = ", ".join(f"{label} is {_WORDS.get(kind, kind)} ({kind})" for label, kind in kinds)
    common = [
        b for b in _WORDS if all(any(headline(run, b) for run in found) for found in runs.values())
    ]
    advice = "--allow-mixed shows them with the boundary under each figure and no ratio"
    if common:
        advice = (
            f"--boundary {common[0]} compares them at one ({_example(table, runs, common[0])}), and"
            f" {advice}"
        )
    return (
        f"the columns are timed at different boundaries, so a ratio would mislead: {parts};"
        f" {advice}"
    )


def _example(table: Table, runs: Mapping[str, Sequence[Run]], boundary: str) -> str:
    """How one figure changes at another boundary: ``T4 bs1 is then 1 / 4.29297 ms = 232.94``."""
    for column in table.columns:
        for run in runs[column.label]:
            figure = headline(run, boundary)
            cell = column.cells.get(run.batch or run.facts.get("batch_hint") or 0)
            if figure and cell and figure.best_value and cell.boundary != boundary:
                per_card = (
                    figure.best_value
                    * column.chips
                    * (cell.batch if figure.unit == "batches/s" else 1)
                )
                return (
                    f"{column.label} bs{cell.batch} is then {figure.derived or 'printed'} ="
                    f" {per_card:.2f}"
                )
    return "every column has it"
