"""Logs pasted into a README: the runs that the readers of :mod:`portproof.logs` see in its lines,
with each figure as printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType

from portproof.logs import consistency
from portproof.logs.families import ais_bench, benchmark, msame, pureinfer, trtexec
from portproof.logs.lines import NUMBER, Line, TextBlock, offered
from portproof.logs.logged import Figure, Run
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import Printed, as_printed

#: Lines without any mark of the tool that end a run: what follows was pasted from another one.
_GAP = 6
_NUMBER = re.compile(NUMBER)
_COMMAND = "trtexec -"
_STATISTICS = {name: f"compute.{name}" for name in ("min", "max", "mean", "median")}
_STATISTICS["p99"] = "compute.percentile"
_FAMILIES = (benchmark, pureinfer, ais_bench, trtexec, msame)


@dataclass(frozen=True)
class PastedFigure:
    """One figure of a log and the index of its line."""

    figure: Printed
    line: int

    @property
    def value(self) -> float:
        """The figure's value, in the log's own unit (samples/s, batches/s, ms)."""
        return self.figure.value


@dataclass
class Log:
    """One run. ``readings`` are keyed by section and name: ``e2e.rate``, ``infer.interface``,
    ``compute.mean``, ``throughput`` ...
    """

    run: Run
    readings: dict[str, PastedFigure] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The tool."""
        return self.run.family

    @property
    def first(self) -> int:
        """The first line that shows a figure."""
        return min(reading.line for reading in self.readings.values())

    @property
    def last(self) -> int:
        """The last line that shows a figure."""
        return max(reading.line for reading in self.readings.values())

    @property
    def printed_batch(self) -> int | None:
        """The batch in ais_bench's line of the throughput."""
        return self.run.batch if self.run.batch_source == "throughput line" else None

    def get(self, name: str) -> PastedFigure | None:
        """A figure, when the log shows it."""
        return self.readings.get(name)

    @property
    def principal(self) -> PastedFigure | None:
        """The figure that READMEs restate: the device-side rate, or the mean compute time."""
        names = {"benchmark": "infer.interface", "pureinfer": "rate"}
        found = self.get(names.get(self.family, "compute.mean"))
        return found if found and found.value else None

    @property
    def is_latency(self) -> bool:
        """Whether the principal figure is a time (ms a batch) and not a rate (samples a second)."""
        return self.family in ("ais_bench", "trtexec", "msame")

    @property
    def samples(self) -> float | None:
        """Number of samples of a benchmark run."""
        return consistency.samples_of(self.run)

    @property
    def effective_batch(self) -> float | None:
        """The batch that benchmark really ran, not rounded."""
        return consistency.batch_of_rates(self.run)


def logs_in(document: Document) -> list[Log]:
    """All runs shown in the document, in order."""
    runs = (run for family in _FAMILIES for run in _runs(document, family))
    logs = (Log(run, _readings(document, run)) for run in runs)
    return sorted((log for log in logs if log.principal), key=lambda log: (log.first, log.last))


def _runs(document: Document, family: ModuleType) -> Iterator[Run]:
    """The runs of one tool. A log that was cut out of its file does not end where the reader would
    end it: each passage has a reader of its own.
    """
    reader, last = family.Reader(""), 0
    text = TextBlock(0, "\n".join(document.lines), last=False)
    for line, _ in offered(text, dict.fromkeys((*family.MARKS, _COMMAND), 1)):
        starts = family is trtexec and _COMMAND in line.text
        if line.number - last > _GAP or starts:
            yield from reader.runs()
            reader = family.Reader("")
        if family is pureinfer and "ave_th" in line.text:
            line = _with_latency(document, line)
        if not line.text.startswith("# PortProof "):  # here that is a title, and not a file's head
            reader.feed(line)
        if starts:
            # Authors keep only "mean: 5.51 ms" of trtexec's output, and they mean GPU Compute.
            reader.feed(line._replace(text="GPU Compute"))
        last = line.number
    yield from reader.runs()


def _with_latency(document: Document, line: Line) -> Line:
    """The line of a pure inference, with the line below where the latency was wrapped there."""
    below = document.lines[line.number + 1 : line.number + 2]
    wrapped = "ave_latency" not in line.text and below and "ave_latency" in below[0]
    return line._replace(text=f"{line.text} {below[0].strip()}") if wrapped else line


def _readings(document: Document, run: Run) -> dict[str, PastedFigure]:
    readings: dict[str, PastedFigure] = {}
    for shown in run.figures:
        name = _name(run.family, shown)
        if name and name not in readings and shown.best_value is not None:
            readings[name] = PastedFigure(_printed(document, shown), shown.line)
    return readings


def _name(family: str, shown: Figure) -> str | None:
    """What the audit calls a figure, None for one that no README restates."""
    group, _, statistic = shown.name.partition("_")
    if family in ("benchmark", "pureinfer"):
        kind = {"throughput": "rate", "latency": "latency", "walltime": "latency"}.get(group)
        if family == "benchmark" and kind:
            interface = kind == "rate" and shown.stage == "infer" and shown.boundary
            kind = f"{shown.stage or 'e2e'}.{'interface' if interface else kind}"
        return kind
    if shown.name == "throughput":
        return "throughput" if shown.derived is None or shown.value is None else None
    timed = group == ("latency" if family == "msame" else "compute")
    return _STATISTICS.get(statistic) if timed else None


def _printed(document: Document, shown: Figure) -> Printed:
    """The figure with the digits that its line (or a wrapped one) shows; the tools' times are ms.
    A rate that the reader had to recover is printed at the end of its line.
    """
    scale = 1000 if shown.unit == "s" else 1
    text = " ".join(document.lines[shown.line : shown.line + 2])
    if shown.value is None:
        return as_printed(_NUMBER.findall(document.lines[shown.line])[-1])
    # The readers take decimal commas, where a whole log has them.
    numbers = _NUMBER.findall(text) + _NUMBER.findall(text.replace(",", "."))
    value = shown.value
    return as_printed(next(number for number in numbers if float(number) / scale == value))
