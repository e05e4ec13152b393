"""The form of our own suites: a section a model, a column a subject, mean latency."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.core.text import printable
from portproof.infer.suites.page import Row, environment, head, mean_ms, paragraphs, remarks
from portproof.infer.suites.suite_file import Suite


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page."""
    lines = [*head(suite, rows, "Benchmark"), "## Environment", "", *environment(rows)]
    lines += ["## Performance", ""]
    lines += ["Mean latency of a call in milliseconds, host call to host result, over all counted"]
    lines += ["calls.", ""]
    done = [row for row in rows if row.found]
    for number, row in enumerate(done, start=1):
        lines += [f"### {number}. {printable(row.entry.name)}", "", *_table(suite, row)]
        lines += [*paragraphs(remarks(row)), ""]
    lines += [
        f"{'Not run' if row.absent else 'Failed'}: {row.entry.name}: {printable(str(row.why))}  "
        for row in rows
        if row.found is None
    ]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _table(suite: Suite, row: Row) -> list[str]:
    labels = [s.label for s in suite.subjects]
    return [
        f"| Batch size | {' | '.join(f'{label} (ms)' for label in labels)} |",
        "|---|" + "---|" * len(labels),
        *(
            f"| {b} | {' | '.join(mean_ms(row.measured(label, b)) for label in labels)} |"
            for b in row.entry.batches or suite.batches
        ),
    ]
