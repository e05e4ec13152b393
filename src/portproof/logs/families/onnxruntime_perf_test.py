"""``onnxruntime_perf_test`` (ONNX Runtime's own bench).

Its clock encloses one ``Session::Run``, from host inputs to host outputs: ``call``. A request is
one run of the whole batch, which the tool does not print, so its rate counts batches. The mean is
in milliseconds and the percentiles in seconds. Versions of 2020 print no rate and end lines with
``sec``; since 2025 the mean is called ``Average inference time cost total``.

Samples: microsoft/onnxruntime issue 17313 and pull request 2798;
onnxruntime/test/perftest/README.md of the same project.
"""

from __future__ import annotations

import re

from portproof.logs.lines import NUMBER, Line, finite
from portproof.logs.logged import CALL, Figure, Run

FAMILY = "onnxruntime_perf_test"
MARKS = (
    "inference time cost",
    "inference requests",
    "inference run time",
    "inferences per second",
    " Latency: ",
    " Latency is ",
    "Total time cost",
    "Total iterations",
    "Average time cost",
    "Total run time",
)

_COST = re.compile(
    rf"\bAverage (?:inference )?time cost(?P<total> total)?: ?(?P<mean>{NUMBER}) ?ms\b"
    rf"|\bNumber of inferences per second: ?(?P<rate>{NUMBER})\s*$"
    rf"|\bTotal (?:inference requests|iterations): ?(?P<requests>\d{{1,12}})\s*$"
    rf"|\bTotal (?:inference )?run time: ?(?P<wall>{NUMBER})(?: s)?\s*$"
    rf"|\b(?P<kind>Min|Max|P\d{{2,4}}) Latency(?:: | is )(?P<latency>{NUMBER}) (?:s|sec)\s*$"
)
_BEGIN = re.compile(r"\bTotal (?:inference )?time cost ?:")
_KINDS = {"Min": "min", "Max": "max", "P50": "median", "P999": "p99.9"}


class Reader:
    """A run begins with the total time, or with the first figure of a pasted part."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []

    def feed(self, line: Line) -> None:
        """Take one line; a number that the end of the file cut may have lost digits."""
        if _BEGIN.search(line.text):
            self.found.append(Run(self.source, FAMILY, line.number))
        if line.cut:
            return
        match = _COST.search(line.text)
        value = finite(match[match.lastgroup or 0]) if match else None
        if match is None or not value:
            return
        run = self._open(line.number)
        name, unit, scale = _meaning(match)
        if run.figure(name) is None:
            note = "requests, each of one batch" if name == "samples" else None
            run.figures.append(
                Figure(name, value * scale, unit, CALL, None, "device", line.number, note=note)
            )

    def _open(self, line: int) -> Run:
        if not self.found:
            self.found.append(Run(self.source, FAMILY, line))
        return self.found[-1]

    def runs(self) -> list[Run]:
        """The runs that hold a mean and a rate or a total time, which the tool prints last."""
        runs = [run for run in self.found if run.figure("latency_mean")]
        for run in runs:
            whole = run.figure("throughput") or run.figure("walltime")
            run.status = "ok" if whole else "incomplete"
            if run.figure("throughput"):
                _check(run)
        return runs


def _meaning(match: re.Match[str]) -> tuple[str, str, float]:
    """The name, the unit and the scale of the number found."""
    if match["latency"]:
        kind = _KINDS.get(match["kind"]) or f"p{match['kind'][1:3]}"
        return f"latency_{kind}", "s", 1
    if match["mean"]:
        return "latency_mean", "s", 1e-3
    if match["rate"]:
        return "throughput", "batches/s", 1
    return ("samples", "1", 1) if match["requests"] else ("walltime", "s", 1)


def _check(run: Run) -> None:
    """The rate is the requests over the run time."""
    rate, requests, wall = (run.value(name) for name in ("throughput", "samples", "walltime"))
    if rate and requests and wall and abs(requests / wall / rate - 1) > 0.01:
        run.warnings.append(
            f"{requests:g} requests in {wall:g} s are {requests / wall:.6g} a second, the log"
            f" prints {rate:g}"
        )
