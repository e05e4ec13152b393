"""``perf_analyzer`` of Triton (``perf_client`` until 2020), one run for each concurrency or rate.

Its clock runs from a client's request to the server's answer, over HTTP, gRPC or shared memory:
``call``, with the network and the server's queue in it. ``infer/sec`` counts samples: a request of
batch 17 is 17 inferences. The summary at the end repeats each run; alone, it is read too, and its
latency is the mean or the percentile that its title names.

Samples: triton-inference-server/server issues 1853 and 3113, triton-inference-server/client pull
request 116, and the quick start of triton-inference-server/model_analyzer.
"""

from __future__ import annotations

import re

from portproof.logs.lines import NUMBER, Line, finite
from portproof.logs.logged import CALL, Figure, Run

FAMILY = "perf_analyzer"
MARKS = (
    "Measurement Settings",
    "Batch size:",
    "Request concurrency:",
    "Request Rate:",
    "Request count:",
    "infer/sec",
    "latency: ",
    "Client:",
    "Server:",
    "Batch Latency",
    "Failed to obtain stable",
)

_BEGIN = re.compile(r"\b(Request concurrency|Request Rate): (\d{1,9}(?:\.\d{1,6})?)\b")
_BATCH = re.compile(r"\bBatch size: (\d{1,6})\s*$")
_CLIENT = re.compile(
    rf"^[\s*#]*(?:Throughput: (?P<rate>{NUMBER}) infer/sec"
    rf"|Avg latency: (?P<mean>{NUMBER}) usec"
    rf"|p(?P<percent>\d{{1,2}}) latency: (?P<time>{NUMBER}) usec"
    r"|Request count: (?P<count>\d{1,12}))"
)
_SUMMARY = re.compile(
    rf"\b(?:Concurrency|Request Rate): (\d{{1,9}}(?:\.\d{{1,6}})?), (?:throughput: )?({NUMBER})"
    rf" infer/sec, latency ({NUMBER}) usec"
)
_TITLE = re.compile(r"Client (Average|p(\d{1,2})) Batch Latency")
_UNSTABLE = "Failed to obtain stable measurement"


class Reader:
    """Settings, then one run after another, then the summary."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self.batch: int | None = None
        self.of_server = False
        self.latency = "latency_mean"

    def feed(self, line: Line) -> None:
        """Take one line."""
        if "Measurement Settings" in line.text:
            self.batch = None
        if batch := _BATCH.search(line.text):
            self.batch = int(batch[1]) or None
        if begin := _BEGIN.search(line.text):
            self._begin(line.number, begin[1], begin[2])
        if "Client:" in line.text or "Server:" in line.text:
            self.of_server = "Server:" in line.text
        if title := _TITLE.search(line.text):
            self.latency = f"latency_p{title[2]}" if title[2] else "latency_mean"
        if _UNSTABLE in line.text and self.found:
            self.found[-1].warnings.append(f"{_UNSTABLE} (line {line.number})")
        if summary := _SUMMARY.search(line.text):
            self._summary(line, summary)
        elif self.found and not self.of_server and not line.cut:
            self._client(line)

    def _begin(self, line: int, mode: str, load: str) -> Run:
        source = "measurement settings" if self.batch else None
        run = Run(self.source, FAMILY, line, batch=self.batch, batch_source=source)
        run.facts[mode.lower().replace(" ", "_")] = float(load)
        self.found.append(run)
        self.of_server = False
        return run

    def _client(self, line: Line) -> None:
        match = _CLIENT.search(line.text)
        if match is None:
            return
        if match["rate"]:
            name, text = "throughput", match["rate"]
        elif match["count"]:
            name, text = "samples", match["count"]
        else:
            percent = match["percent"]
            kind = "median" if percent == "50" else f"p{int(percent)}" if percent else "mean"
            name, text = f"latency_{kind}", match["mean"] or match["time"]
        self._add(self.found[-1], name, text, line.number)

    def _add(self, run: Run, name: str, text: str, line: int) -> None:
        """Add a figure once; times are printed in microseconds."""
        value = finite(text)
        unit, scale = {"throughput": ("images/s", 1.0), "samples": ("1", 1.0)}.get(
            name, ("s", 1e-6)
        )
        if value and run.figure(name) is None:
            note = "requests, each of one batch" if name == "samples" else None
            run.figures.append(
                Figure(name, value * scale, unit, CALL, None, "device", line, note=note)
            )

    def _summary(self, line: Line, match: re.Match[str]) -> None:
        """A line of the summary, where the run itself is not shown."""
        load = float(match[1])
        if any(load in run.facts.values() and run.figures for run in self.found):
            return
        mode = "Request Rate" if "Rate" in match[0] else "Request concurrency"
        run = self._begin(line.number, mode, match[1])
        self._add(run, "throughput", match[2], line.number)
        self._add(run, self.latency, match[3], line.number)
        self.of_server = True

    def runs(self) -> list[Run]:
        """The runs with figures; without any that were not stable, with the reason."""
        runs = [run for run in self.found if run.figures or run.warnings]
        for run in runs:
            if run.figure("throughput"):
                run.status = "ok" if not run.warnings else "incomplete"
            else:
                run.status = "failed" if run.warnings else "incomplete"
        return runs
