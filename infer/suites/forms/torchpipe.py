"""The form of torchpipe's throughput test: a column a model, a row a figure, latencies in
milliseconds, of clients that call in a closed loop; a table for each subject and batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import portproof
from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.core.text import printable
from portproof.infer.load_test.record import LoadRun
from portproof.infer.suites.page import Row, cell, environment, head, remarks
from portproof.infer.suites.suite_file import Suite, SuiteSubject


def _ms(seconds: float | None) -> str:
    return "too few" if seconds is None else f"{1e3 * seconds:.2f}"


def _rate(run: LoadRun) -> str:
    rate = run.requests_per_second
    return "" if rate is None else f"{run.batch * rate:.2f}"


#: The source's rows in its order. ``throughput::avg`` is what a request takes of the wall time, a
#: client: clients over the rate of requests.
_ROWS: tuple[tuple[str, Callable[[LoadRun], str]], ...] = (
    ("tool's version", lambda r: portproof.__version__),
    ("num_clients", lambda r: str(r.clients)),
    ("total_number", lambda r: str(r.requests)),
    ("throughput::qps", _rate),
    ("throughput::avg", lambda r: _ms(r.clients * r.wall_s / len(r.latencies_s))),
    ("latency::TP50", lambda r: _ms(r.percentile_s(50))),
    ("latency::TP90", lambda r: _ms(r.percentile_s(90))),
    ("latency::TP99", lambda r: _ms(r.percentile_s(99))),
    ("latency::avg", lambda r: _ms(r.mean_s)),
    *((f"-{n}", lambda r, n=n: _ms(r.slowest_s(n))) for n in (50, 20, 10, 1)),
    ("cpu_usage", lambda r: f"{r.cpu_percent:.1f}"),
)


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page."""
    if suite.requests is None:
        raise InputError("the form 'torchpipe' is of a suite under load: give it 'requests'")
    lines = [*head(suite, rows, "Throughput"), *environment(rows)]
    lines += [
        "throughput::qps is in images per second; throughput::avg (clients over requests per"
        " second) and the latencies are in milliseconds; -N is the request N places from the"
        " slowest; cpu_usage is in percent of one processor. A percentile with fewer than ten"
        " requests beyond it is not stated.",
        "",
    ]
    for subject in suite.subjects:
        for batch in suite.batches:
            lines += [*_facts(suite, subject, batch, rows), "", *_table(subject, batch, rows), ""]
    for row in rows:
        said = [row.reason] if row.found is None else list(remarks(row))
        lines += [f"{printable(row.entry.name)}: {printable(text)}  " for text in said]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _facts(suite: Suite, subject: SuiteSubject, batch: int, rows: Sequence[Row]) -> list[str]:
    """What stands above the table in the source: device, precision, opset, input size."""
    run = next((r for row in rows if (r := _run(row, subject, batch)) is not None), None)
    device = run.device if run is not None else subject.device or "none"
    precision = run.precision if run is not None else subject.precision or "fp32"
    return [
        f"* {printable(subject.label)}: {printable(str(device))}",
        f"* precision: {precision}",
        f"* opset: {suite.opset}",
        f"* input size: {batch}x3x224x224",
    ]


def _run(row: Row, subject: SuiteSubject, batch: int) -> LoadRun | None:
    test = row.found.load if row.found else None
    runs = test.runs if test is not None else []
    return next((r for r in runs if (r.label, r.batch) == (subject.label, batch)), None)


def _table(subject: SuiteSubject, batch: int, rows: Sequence[Row]) -> list[str]:
    runs = [_run(row, subject, batch) for row in rows]
    lines = ["| | " + " | ".join(cell(row.entry.name) for row in rows) + " |"]
    lines.append("|:---" * (1 + len(rows)) + "|")
    for name, figure in _ROWS:
        cells = [_cell(row, run, figure) for row, run in zip(rows, runs, strict=True)]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _cell(row: Row, run: LoadRun | None, figure: Callable[[LoadRun], str]) -> str:
    if run is None:
        absent = row.absent or (row.found is not None and all(x.absent for x in row.found.left))
        return "not run" if absent else "failed"
    return "wrong answers" if run.is_wrong else figure(run)
