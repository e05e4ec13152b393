"""What every form of a suite's page is made of: rows, the facts above the tables, cells."""

from __future__ import annotations

import os
import re
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from portproof.core.text import markdown, printable
from portproof.infer.load_test.record import LoadTest
from portproof.infer.suites.first_five import TopN
from portproof.infer.suites.suite_file import Suite, SuiteModel
from portproof.measurement import Measurement, Performance
from portproof.rehearsal import MARK


@dataclass(frozen=True, slots=True)
class Left:
    """A subject that was not timed, and why. ``absent``: a package is not installed here, so
    nothing failed.
    """

    label: str
    why: str
    absent: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a model's turn gave. ``inputs`` and ``weights`` say in words what they were;
    ``compared``: of the ONNX file with PyTorch, None where there is none. ``load``: of a suite
    whose requests come from several clients.
    """

    performance: Performance
    left: list[Left]
    inputs: str
    weights: str
    compared: str | None
    parameters: int | None
    top_n: dict[tuple[str, int], TopN] = field(default_factory=dict)
    load: LoadTest | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A model whose turn is over: what was found, or ``why`` it was not. ``absent``: since a
    package is not installed on this host.
    """

    entry: SuiteModel
    found: Found | None = None
    why: str | None = None
    absent: bool = False

    @property
    def reason(self) -> str:
        """Why there are no figures, as it stands on the page."""
        return f"{'not run' if self.absent else 'failed'}: {self.why}"

    def measured(self, label: str, batch: int) -> Measurement | None:
        """What was timed of a subject at a batch, from the host's call to its result."""
        if self.found is None:
            return None
        return next(
            (
                m
                for m in self.found.performance.measurements
                if (m.label, m.batch, m.boundary) == (label, batch, "call")
            ),
            None,
        )


def head(suite: Suite, rows: Sequence[Row], title: str) -> list[str]:
    """The title, what the suite is about, and what the models were fed with."""
    simulated = any(r.found and r.found.performance.simulated for r in rows)
    mark = f" ({MARK}: a simulated device)" if simulated else ""
    lines = [f"# {title}{mark}", "", printable(suite.about), "", *fed_with(rows)]
    shaken = [r.entry.name for r in rows if r.found and r.found.performance.reasons]
    if shaken:
        lines += [
            f"**UNSTABLE**: the clock could not be trusted while {printable(', '.join(shaken))} was"
            " timed; the reasons are below the figures.",
            "",
        ]
    return lines


def from_page(text: str, out: Path) -> str:
    """A sentence that names files of the page's own folder from there, as the page's readers have
    them.
    """
    return text.replace(f"{out.absolute()}{os.sep}", "")


def cell(text: str) -> str:
    """A model's or subject's name in a table: a plain one as it is, so that the columns bear the
    source's names.
    """
    return text if re.fullmatch(r"\w[\w .:()/,+-]*", text) else markdown(text)


def fed_with(rows: Sequence[Row]) -> list[str]:
    """What inputs and weights were, once where it is the same for all models."""
    lines = []
    for what in ("inputs", "weights"):
        said: dict[str, list[str]] = {}
        for row in rows:
            if row.found is not None:
                said.setdefault(getattr(row.found, what), []).append(row.entry.name)
        lines += [
            f"{what.capitalize()}{'' if len(said) == 1 else ' of ' + ', '.join(names)}: {text}."
            for text, names in said.items()
        ]
    return [*(f"{line}  " for line in lines), ""] if lines else []


def environment(rows: Sequence[Row]) -> list[str]:
    """Where it was timed, with which versions: of the first model that ran; and what other programs
    took of the processors meanwhile.
    """
    first = next((r.found.performance for r in rows if r.found), None)
    if first is None:
        return []
    facts = first.versions | first.environment | _neighbours(rows)
    return [
        "| Package | Version |",
        "|---|---|",
        *(f"| {markdown(name)} | {markdown(version)} |" for name, version in facts.items()),
        "",
    ]


def _neighbours(rows: Sequence[Row]) -> dict[str, str]:
    """What other programs took, from the least to the most of all that was timed."""
    found = [r.found for r in rows if r.found]
    counters = [m.counters for f in found for m in f.performance.measurements]
    counters += [run.counters for f in found if f.load for run in f.load.runs]
    shares = [c["other_cpu_fraction"] for c in counters if c.get("other_cpu_fraction") is not None]
    if not shares:
        return {}
    few, many = (f"{100 * share:.0f}" for share in (min(shares), max(shares)))
    return {
        "other programs meanwhile": f"{few if few == many else f'{few} to {many}'} % of the"
        " processors"
    }


def remarks(row: Row, left_out: bool = True) -> Iterator[str]:
    """Sentences below a model's table: what was wrong or unstable, how its ONNX file was checked,
    and unless the table says it, what was left out.
    """
    if row.found is None:
        return
    for left in row.found.left if left_out else ():
        yield f"{'Not run' if left.absent else 'Failed'}: {left.label}: {printable(left.why)}"
    performance = row.found.performance
    if performance.wrong:
        yield f"Wrong answers: {printable('; '.join(performance.wrong))}."
    if performance.reasons:
        yield f"Unstable: {printable('; '.join(performance.reasons))}."
    if row.found.compared:
        yield f"ONNX file: {row.found.compared}."


def paragraphs(sentences: Iterator[str] | Sequence[str]) -> list[str]:
    """Each as a paragraph of its own."""
    return [line for sentence in sentences for line in ("", sentence)]


def mean_ms(measurement: Measurement | None) -> str:
    """The mean of all counted calls in milliseconds; empty without one."""
    if measurement is None or not measurement.valid:
        return ""
    return f"{1e3 * statistics.fmean(measurement.valid):.2f}"


def speed_up(performance: Performance, label: str, base: str, batch: int) -> str:
    """How many times as fast as another, with the 95 % interval; empty where it is not known."""
    ratio = next(
        (
            r
            for r in performance.ratios
            if (r.a, r.b, r.batch, r.boundary) == (label, base, batch, "call")
        ),
        None,
    )
    if ratio is None:
        return ""
    interval = "no interval" if ratio.ci95 is None else "{:.2f} to {:.2f}".format(*ratio.ci95)
    return f"{ratio.ratio:.2f} ({interval})"


def calls_of(rows: Sequence[Row]) -> str:
    """How many calls a figure is of, as a number or a range."""
    counts = {
        len(m.samples)
        for r in rows
        if r.found
        for m in r.found.performance.measurements
        if m.boundary == "call"
    }
    few, many = min(counts, default=0), max(counts, default=0)
    return str(few) if few == many else f"{few} to {many}"
