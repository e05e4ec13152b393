"""One line a run, in a reader's units: for people at a glance, and for spreadsheets."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from portproof.core.text import csv_field, printable
from portproof.logs.logged import CALL, DEVICE, DEVICE_COPIES, END_TO_END, Figure, Run

#: The times that a reader means by "the latency" of a call, the first that is there.
_TIMES = (
    "latency_mean",
    "compute_mean",
    "end_to_end_mean",
    "latency_median",
    "compute_median",
)
_BOUNDARIES = (DEVICE, DEVICE_COPIES, CALL, END_TO_END)
_TITLES = ("log", "tool", "label", "status", "batch", "images/s", "per", "of", "ms", "time")


@dataclass(frozen=True)
class Line:
    """What is known of a run; an empty text for what is not. ``of``: the boundary of the rate;
    ``time``: which time ``ms`` is.
    """

    log: str
    tool: str
    label: str
    status: str
    batch: str
    images_per_second: str
    per: str
    of: str
    milliseconds: str
    time: str
    warnings: tuple[str, ...]

    @property
    def cells(self) -> list[str]:
        """The cells below the titles, without the warnings."""
        run = [self.log, self.tool, self.label, self.status, self.batch]
        rate = [self.images_per_second, self.per, self.of]
        return [*run, *rate, self.milliseconds, self.time]


def summarised(run: Run) -> Line:
    """A run's line: its rate in images a second, per card where ``--chips`` made one, and the mean
    time of a call. A rate in batches is turned into images where the batch is known.
    """
    rate = _rate(run)
    time = next((f for name in _TIMES if (f := _timed(run, name))), None)
    value = rate.best_value if rate else None
    return Line(
        f"{run.source}:{run.line}",
        run.family,
        str(run.facts.get("label") or ""),
        run.status,
        str(run.batch or ""),
        _short(value),
        (rate.per or "") if rate else "",
        (rate.boundary or "") if rate else "",
        _short(1000 * time.value if time and time.value else None),
        time.name if time else "",
        tuple(run.warnings),
    )


def _rate(run: Run) -> Figure | None:
    """The first rate in images of the tool's own boundary, a card's before a chip's."""
    rates = [
        f
        for f in run.figures
        if f.name == "throughput" and f.unit == "images/s" and f.best_value is not None
    ]
    rates = [f for f in rates if f.boundary in _BOUNDARIES]
    first = [f for f in rates if f.boundary == rates[0].boundary]
    return next((f for f in first if f.per == "card"), first[0] if first else None)


def _timed(run: Run, name: str) -> Figure | None:
    """A time of a whole call: not that of a stage of the host."""
    return next(
        (f for f in run.figures if f.name == name and f.boundary in _BOUNDARIES and f.value), None
    )


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}" if value < 1e5 else f"{value:.0f}"


def as_summary(runs: list[Run]) -> str:
    """The lines in columns, a dash for what is not known, and each run's warnings counted."""
    rows = [[*_TITLES, "doubts"]]
    for line in map(summarised, runs):
        doubts = str(len(line.warnings)) if line.warnings else ""
        rows.append([printable(cell) or "-" for cell in [*line.cells, doubts]])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            f"{cell:>{w}}" if title in ("batch", "images/s", "ms") else f"{cell:<{w}}"
            for cell, w, title in zip(row, widths, rows[0], strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines) if runs else "no runs"


def as_csv(runs: list[Run]) -> str:
    """The lines as CSV, with the warnings in the last column, and no text that a spreadsheet takes
    for a formula. What is not known is empty.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    titles = [title.replace("images/s", "images_per_s") for title in _TITLES]
    writer.writerow([*titles, "doubts"])
    for line in map(summarised, runs):
        cells = [*line.cells, "; ".join(line.warnings)]
        writer.writerow([csv_field(printable(cell)) for cell in cells])
    return out.getvalue().rstrip("\n")
