"""The form of Poros' benchmark: a table a model, batch size against mean latency in milliseconds,
the first subject before the compiled ones; and how many times as fast each of these is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.core.text import markdown, printable
from portproof.infer.suites.page import (
    Row,
    calls_of,
    environment,
    head,
    mean_ms,
    paragraphs,
    remarks,
    speed_up,
)
from portproof.infer.suites.suite_file import Suite
from portproof.preprocess.cards.resolve import resolve_card


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page."""
    base, *others = [s.label for s in suite.subjects]
    lines = [*head(suite, rows, "Benchmark"), "## Environment", *environment(rows)]
    lines += [
        "## Performance",
        f"The following is the result of comparison between {printable(base)} and"
        f" {printable(', '.join(others))}, which is measured by average latency time (ms) of model"
        f" inferring {calls_of(rows)} times. Speed-up: the median call of {printable(base)} over"
        " that of the other, with its 95 % interval over starts of the processes.",
        "",
    ]
    for number, row in enumerate(rows, start=1):
        lines += [f"### {number}. {printable(row.entry.name)}", *_section(suite, row), ""]
        if row.entry.source:
            lines += [f"Model source: {printable(row.entry.source)}", ""]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _section(suite: Suite, row: Row) -> list[str]:
    base, *others = [s.label for s in suite.subjects]
    titles = [f"{label} (ms)" for label in (base, *others)]
    titles += [f"speed-up of {label}" if len(others) > 1 else "speed-up" for label in others]
    lines = [f"Input shape: {_shape(row)}", "", f"| Batch size | {' | '.join(titles)} |"]
    lines.append("|---" * (1 + len(titles)) + "|")
    if row.found is None:
        return [*lines, f"| {markdown(row.reason)} |" + " |" * len(titles)]
    for batch in row.entry.batches or suite.batches:
        times = [mean_ms(row.measured(label, batch)) for label in (base, *others)]
        ratios = [speed_up(row.found.performance, label, base, batch) for label in others]
        lines.append(f"| {batch} | {' | '.join(times + ratios)} |")
    return lines + paragraphs(remarks(row))


def _shape(row: Row) -> str:
    """As the source writes it, ``bx3x224x224``."""
    if row.found is None:
        return "not known"
    inputs = resolve_card(row.entry.model).inputs
    return ", ".join("x".join(["b", *map(str, i.shape)]) for i in inputs)
