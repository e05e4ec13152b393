"""The form of the comparison of engines: for each input size the latency, memory and utilisation of
every engine, as plots and as a table; on a GPU also the device's.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.core.text import markdown, printable
from portproof.infer.suites.page import (
    Row,
    cell,
    environment,
    head,
    paragraphs,
    remarks,
    speed_up,
)
from portproof.infer.suites.plots import can_draw, draw_bars, draw_calls, outliers
from portproof.infer.suites.suite_file import Suite, folder_of
from portproof.measurement import Measurement

_MB = 1e6


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page and the plots."""
    title = "Inference time comparison between engines"
    lines = [*head(suite, rows, title), *environment(rows)]
    if not can_draw():
        lines += ["Plots are left out: matplotlib is not installed (`portproof[report]`).", ""]
    else:
        lines += ["In latency plots outliers are crosses, and no part of the line.", ""]
    for row in rows:
        lines += [f"# {printable(row.entry.name)}", ""]
        if row.found is None:
            lines += [f"{printable(row.reason)}", ""]
            continue
        for batch in row.entry.batches or suite.batches:
            lines += _section(suite, row, batch, out)
        lines += [*paragraphs(remarks(row, False)), ""]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _section(suite: Suite, row: Row, batch: int, out: Path) -> list[str]:
    """One size at one batch."""
    timed = {
        s.label: m
        for s in suite.subjects
        if (m := row.measured(s.label, batch)) is not None and m.valid
    }
    device = "CUDA" if any(str(m.device).startswith("cuda") for m in timed.values()) else "CPU"
    lines = [f"## {device}" + (f", batch size {batch}" if batch > 1 else ""), ""]
    if can_draw() and timed:
        folder = f"plots/{folder_of(row.entry.name)}_bs{batch}"
        for heading, file in _plots(row, timed, device.lower(), out / folder):
            lines += [f"### {heading}", f"![{file}]({folder}/{file}.svg)", ""]
    return [*lines, *_table(suite, row, batch, timed), ""]


def _plots(
    row: Row, timed: dict[str, Measurement], device: str, folder: Path
) -> Iterator[tuple[str, str]]:
    """Draw what was measured; heading and file stem of each."""
    name = row.entry.name
    file = f"{device}_time_measurements"
    draw_calls(folder / f"{file}.svg", f"{name}: latency", {k: m.valid for k, m in timed.items()})
    yield "Latency", file
    for heading, key, scale, unit, file in (
        ("Memory (RAM) [mb]", "memory_peak_bytes", 1 / _MB, "MB", "cpu_mb_measurements"),
        ("Utilisation [%]", "cpu_fraction", 100.0, "% of processors", "cpu_pct_util_measurements"),
        ("Memory (VRAM) [mb]", "device_memory_peak_bytes", 1 / _MB, "MB", "gpu_0_mb_measurements"),
        ("GPU utilisation [%]", "device_utilisation", 100.0, "%", "gpu_0_pct_util_measurements"),
    ):
        values = {
            label: scale * m.counters[key]
            for label, m in timed.items()
            if m.counters.get(key) is not None
        }
        if values:
            draw_bars(folder / f"{file}.svg", f"{name}: {heading}", unit, values)
            yield heading, file


def _table(suite: Suite, row: Row, batch: int, timed: dict[str, Measurement]) -> Iterator[str]:
    """The same in figures, a row an engine; without a figure, why."""
    assert row.found is not None
    base = suite.subjects[0].label
    yield (
        "| Engine | mean (ms) | median (ms) | fastest (ms) | slowest (ms) | outliers |"
        f" memory peak (MB) | processors (%) | times as fast as {cell(base)} |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for subject in suite.subjects:
        measured = timed.get(subject.label)
        if measured is None:
            left = next((x for x in row.found.left if x.label == subject.label), None)
            why = f"{'not run' if left and left.absent else 'failed'}: {left.why if left else ''}"
            yield f"| {cell(subject.label)} | {markdown(why)} |" + " |" * 7
            continue
        calls = [1e3 * s for s in measured.valid]
        far = sum(outliers(calls))
        figures = (statistics.fmean(calls), statistics.median(calls), min(calls), max(calls))
        used = measured.counters.get("memory_peak_bytes")
        busy = measured.counters.get("cpu_fraction")
        cells = [f"{x:.3f}" for x in figures] + [f"{far} of {len(calls)}"]
        cells.append(f"{used / _MB:.0f}" if used is not None else "")
        cells.append(f"{100 * busy:.0f}" if busy is not None else "")
        cells.append(speed_up(row.found.performance, subject.label, base, batch))
        yield f"| {cell(subject.label)} | {' | '.join(cells)} |"
