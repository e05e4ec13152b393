"""Logs pasted into a README: the figures of each run, line by line, whatever the damage, and what
says its batch and device.

Formats: benchmark's ``perf_*.txt`` and pure-inference output, ais_bench and ais_infer statistics,
msame, trtexec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from portproof.reports.claims.read.document import Document
from portproof.reports.claims.read.figures import NUMBER, Figure, figure

#: How many lines may stand between two lines of one run.
_GAP = 6

_SECTION = re.compile(
    r"\[{1,2}\s?(e2e|data ?read|preprocess|infer(?:ence)?|post(?:process)?)\s?\]", re.IGNORECASE
)
_INTERFACE = re.compile(
    rf"Interface\s{{0,3}}th\s?r?oughput\s?Rate\s{{0,3}}[:=]?\s{{0,3}}({NUMBER})", re.IGNORECASE
)
_RATE = re.compile(rf"throughput\s?Rate\s{{0,3}}[:=]?\s{{0,3}}({NUMBER})", re.IGNORECASE)
_LATENCY = re.compile(rf"Latency\s{{0,3}}[:=]?\s{{0,3}}({NUMBER})", re.IGNORECASE)
_PURE_RATE = re.compile(rf"ave_tho?roughputRate\s{{0,3}}[:=]?\s{{0,3}}({NUMBER})", re.IGNORECASE)
_PURE_LATENCY = re.compile(rf"ave_latency\s{{0,3}}[:=]?\s{{0,3}}({NUMBER})", re.IGNORECASE)
#: "ave_throughputRate = 974.27, 974.27x4=3897.08fps" restates a log and works on.
_WORKED = re.compile(r"\d\s?[*xX]\s?4(?![\d.])")
_MSAME = re.compile(rf"Inference average time\s?:\s?({NUMBER})\s?ms", re.IGNORECASE)
_STATISTIC = re.compile(
    rf"(?P<section>GPU[ _]Compute(?:[ _]Time)?|End-to-End Host Latency|Host Latency|Enqueue"
    rf" Time|H2D[_ ]Latency|D2H[_ ]Latency|NPU_compute_time"
    rf"|total compute time|walltime|(?<=\] )Latency(?=: min))"
    rf"|(?<![.\w])(?P<key>min|max|mean|median|percentile)\b(?:\s?\(?99%?\)?)?\"?\s?[:=]\s?(?P<value>{NUMBER})"
    rf"|throughput\"?[ ]?(?:\(?1000[^:]{{0,120}})?:\s?(?P<throughput>{NUMBER})(?P<qps>\s?qps)?",
    re.IGNORECASE,
)
_AIS_BATCH = re.compile(r"batchsize(?:\.mean)?\(?\((\d{1,4})", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """One figure of a log and the index of its line."""

    figure: Figure
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

    family: str
    first: int
    last: int
    readings: dict[str, Reading] = field(default_factory=dict)
    printed_batch: int | None = None

    def put(self, name: str, text: str, line: int) -> None:
        """Add a figure read from a line."""
        self.readings[name] = Reading(figure(text), line)
        self.last = max(self.last, line)

    def get(self, name: str) -> Reading | None:
        """A figure, when the log shows it."""
        return self.readings.get(name)

    @property
    def principal(self) -> Reading | None:
        """The figure that READMEs restate: the device-side rate, or the mean compute time."""
        names = {"benchmark": "infer.interface", "pureinfer": "rate", "msame": "compute.mean"}
        return self.get(names.get(self.family, "compute.mean"))

    @property
    def is_latency(self) -> bool:
        """Whether the principal figure is a time (ms a batch) and not a rate (samples a second)."""
        return self.family in ("ais_bench", "trtexec", "msame")

    @property
    def samples(self) -> float | None:
        """Number of samples of a benchmark run: end-to-end rate x time."""
        rate, latency = self.get("e2e.rate"), self.get("e2e.latency")
        return rate.value * latency.value / 1000 if rate and latency else None

    @property
    def effective_batch(self) -> float | None:
        """The batch that benchmark really ran: infer rate over post rate (= N / ceil(N /
        batch)).
        """
        infer, post = self.get("infer.rate"), self.get("post.rate")
        return infer.value / post.value if infer and post and post.value else None


def logs_in(document: Document) -> list[Log]:
    """All runs shown in the document, in order."""
    found = [*_benchmark(document), *_pure(document), *_statistics(document), *_msame(document)]
    return sorted((log for log in found if log.principal), key=lambda log: (log.first, log.last))


def _benchmark(document: Document) -> Iterator[Log]:
    log: Log | None = None
    for number, line in enumerate(document.lines):
        marks = list(_SECTION.finditer(line)) if "[" in line else []
        for index, mark in enumerate(marks):
            section = _section_name(mark[1])
            part = line[
                mark.end() : marks[index + 1].start() if index + 1 < len(marks) else len(line)
            ]
            if log and (
                number - log.last > _GAP or section == "e2e" or f"{section}.rate" in log.readings
            ):
                yield log
                log = None
            interface = _INTERFACE.search(part)
            rate = _RATE.search(part[: interface.start()] if interface else part)
            latency = _LATENCY.search(part)
            if not (interface or rate):
                continue
            log = log or Log("benchmark", number, number)
            for name, match in (("interface", interface), ("rate", rate), ("latency", latency)):
                if match:
                    log.put(f"{section}.{name}", match[1], number)
    if log:
        yield log


def _section_name(text: str) -> str:
    name = text.lower().replace(" ", "")
    return {"inference": "infer", "postprocess": "post", "dataread": "read"}.get(name, name)


def _pure(document: Document) -> Iterator[Log]:
    for number, line in enumerate(document.lines):
        for rate in _PURE_RATE.finditer(line) if "ave_th" in line else ():
            log = Log("pureinfer", number, number)
            log.put("rate", rate[1], number)
            after = document.lines[number + 1] if number + 1 < len(document.lines) else ""
            latency = _PURE_LATENCY.search(line, rate.end()) or _PURE_LATENCY.search(after)
            if latency is None and _WORKED.search(line, rate.end(1)):
                continue
            if latency:
                log.put("latency", latency[1], number)
            yield log


def _msame(document: Document) -> Iterator[Log]:
    for number, line in enumerate(document.lines):
        match = _MSAME.search(line) if "verage time" in line else None
        if match:
            log = Log("msame", number, number)
            log.put("compute.mean", match[1], number)
            yield log


def _statistics(document: Document) -> list[Log]:
    """Runs of ais_bench and trtexec: sections of min, max, mean, median, percentile, and a
    throughput.
    """
    reader = _Statistics()
    for number, line in enumerate(document.lines):
        if "trtexec" in line:
            reader.starts(number)
        for match in _STATISTIC.finditer(line):
            if match["section"]:
                reader.section(match["section"].lower(), number)
            elif match["key"]:
                reader.key(match["key"].lower(), match["value"], number)
            else:
                reader.throughput(match, number, line)
    return reader.logs


class _Statistics:
    """Puts statistics together to runs: the same keys stand under several headers, and only the
    compute time counts.
    """

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.in_compute = False
        self.command: int | None = None

    def starts(self, number: int) -> None:
        """A trtexec command: its output may follow."""
        self.in_compute, self.command = False, number

    def near(self, number: int, family: str, gap: int = _GAP) -> Log | None:
        """The run being read, if it is of this family and close enough above."""
        log = self.logs[-1] if self.logs else None
        return log if log and log.family == family and number - log.last <= gap else None

    def section(self, name: str, number: int) -> None:
        """A header: from here on the keys belong to it."""
        self.in_compute, self.command = name.startswith(("gpu", "npu")), None
        if self.in_compute:
            family = "trtexec" if name.startswith("gpu") else "ais_bench"
            log = self.near(number, family, 2 * _GAP)
            if log is None or "compute.mean" in log.readings:
                self.logs.append(Log(family, number, number))

    def key(self, name: str, value: str, number: int) -> None:
        """A statistic; one that the run has already belongs to something else."""
        if (
            not self.in_compute
            and name == "mean"
            and self.command is not None
            and number - self.command <= _GAP
        ):
            # Only the line that counts was kept of trtexec's output.
            self.section("gpu", number)
        log = self.logs[-1] if self.logs else None
        if not (self.in_compute and log and number - log.last <= _GAP):
            return
        if f"compute.{name}" in log.readings:
            self.in_compute = False
        else:
            log.put(f"compute.{name}", value, number)

    def throughput(self, match: re.Match[str], number: int, line: str) -> None:
        """A throughput: trtexec prints it (in qps) before its statistics, ais_bench after them."""
        self.in_compute = False
        family = "trtexec" if match["qps"] else "ais_bench"
        log = self.near(number, family, 3 * _GAP)
        if log is None or "throughput" in log.readings:
            if not match["qps"]:
                return
            log = Log(family, number, number)
            self.logs.append(log)
        log.put("throughput", match["throughput"], number)
        batch = _AIS_BATCH.search(line)
        log.printed_batch = int(batch[1]) if batch else log.printed_batch
