"""The form of Blade's comparison: a table a model, a row a backend and precision.

The source's table has seconds under ``Median-Latency(ms)`` and ``Mean-Latency(ms)``; here the
figures are in the unit that the header names.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.core.text import markdown
from portproof.infer.suites.page import Row, cell, environment, head, paragraphs, remarks
from portproof.infer.suites.suite_file import Suite, SuiteSubject
from portproof.measurement import Measurement

_HEADER = (
    "| Model | Backend | precision | Median(FPS) | Mean(FPS) | Median-Latency(ms) |"
    " Mean-Latency(ms) | 99th_p | std_dev |"
)
_RULE = "|------:|:--------|:----------|------:|------:|------:|------:|------:|------:|"
#: What the source calls its backends, and in the same manner ours that it has not.
_TITLES = {
    "eager": "Torch",
    "inductor": "Torch-Inductor",
    "torch-tensorrt": "Torch-TensorRT",
    "trt": "TensorRT",
    "ort": "ONNX Runtime",
    "openvino": "OpenVINO",
}


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page: a table a batch size and model."""
    lines = [*head(suite, rows, "Performance Benchmarking"), *environment(rows)]
    lines += [
        "Latencies, 99th_p (the latency that 99 % of the calls do not exceed) and std_dev are in"
        " milliseconds. Mean(FPS) is all samples over the time of all calls, so it is the batch"
        " size over Mean-Latency; Median(FPS) is the batch size over Median-Latency.",
        "",
    ]
    for batch in dict.fromkeys(b for r in rows for b in r.entry.batches or suite.batches):
        lines += [f"## Comparison (batch size {batch})", ""]
        for row in rows:
            if batch in (row.entry.batches or suite.batches):
                lines += [
                    _HEADER,
                    _RULE,
                    *_table(suite, row, batch),
                    *paragraphs(remarks(row, False)),
                    "",
                ]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _table(suite: Suite, row: Row, batch: int) -> Iterator[str]:
    """Precision by precision, as in the source."""
    order = list(dict.fromkeys(s.precision or "fp32" for s in suite.subjects))
    for subject in sorted(suite.subjects, key=lambda s: order.index(s.precision or "fp32")):
        facts = [cell(row.entry.name), cell(_title(subject)), _precision(row, subject)]
        measured = row.measured(subject.label, batch)
        if measured is not None and measured.valid:
            yield f"| {' | '.join([*facts, *_figures(measured)])} |"
        else:
            why = markdown(_why_not(row, subject, measured))
            yield f"| {' | '.join([*facts, why])} | | | | | |"


def _title(subject: SuiteSubject) -> str:
    """A backend's name in the table."""
    return _TITLES.get(subject.backend.replace("_", "-"), subject.backend)


def _precision(row: Row, subject: SuiteSubject) -> str:
    """What was computed in, as the runtime says, and what was asked for where that is another."""
    asked = subject.precision or "fp32"
    ran = next(
        (
            m.precision
            for m in (row.found.performance.measurements if row.found else ())
            if m.label == subject.label
        ),
        asked,
    )
    return asked if ran == asked else f"{asked} (computed in {ran})"


def _figures(measured: Measurement) -> list[str]:
    """Six significant digits, as the source has them."""
    calls = sorted(1e3 * s for s in measured.valid)
    median, mean = statistics.median(calls), statistics.fmean(calls)
    rates = [1e3 * measured.batch / x for x in (median, mean)]
    spread = statistics.stdev(calls) if len(calls) > 1 else 0.0
    tail = measured.percentile_s(99)
    last = f"{1e3 * tail:.6g}" if tail is not None else "too few calls"
    return [*(f"{x:.6g}" for x in (*rates, median, mean)), last, f"{spread:.6g}"]


def _why_not(row: Row, subject: SuiteSubject, measured: Measurement | None) -> str:
    if row.found is None:
        return row.reason
    if measured is not None and measured.is_wrong:
        return f"wrong answers: {measured.answers.reason if measured.answers else ''}"
    left = next((x for x in row.found.left if x.label == subject.label), None)
    return f"{'not run' if left and left.absent else 'failed'}: {left.why if left else 'no call'}"
