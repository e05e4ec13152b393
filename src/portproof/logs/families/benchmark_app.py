"""``benchmark_app`` (OpenVINO), its Python and its C++ form.

A request's clock runs from its start to its completion, host inputs to host outputs: ``call``.
``FPS`` counts samples: iterations x batch over the duration. Several requests run at once, so 1 /
latency is not the rate. In full mode the loop also fills the inputs. Where several shapes are
measured, the first latencies are those of all of them.

Samples: the notebooks of openvinotoolkit/openvino_notebooks, and the page of the sample in
openvinotoolkit/openvino (docs/articles_en/learn-openvino/openvino-samples).
"""

from __future__ import annotations

import re

from portproof.logs.consistency import near
from portproof.logs.lines import NUMBER, Line, finite
from portproof.logs.logged import CALL, Figure, Run

FAMILY = "benchmark_app"
MARKS = ("[ INFO ]", "[Step ", "[ ERROR ]")

_TIMES = {"median": "median", "average": "mean", "avg": "mean", "min": "min", "max": "max"}
_LINE = re.compile(
    r"\[ INFO \]\s+(?:"
    rf"Count:\s+(?P<count>\d{{1,12}}) iterations"
    rf"|Duration:\s+(?P<duration>{NUMBER}) ms"
    rf"|(?P<kind>Median|Average|AVG|Min|MIN|Max|MAX):\s+(?P<time>{NUMBER}) (?P<unit>ms|us)"
    rf"|(?P<percent>\d{{1,2}}) percentile:\s+(?P<ptime>{NUMBER}) (?P<punit>ms|us)"
    rf"|Latency:\s+(?P<old>{NUMBER}) ms"
    rf"|Throughput:\s+(?P<rate>{NUMBER}) FPS"
    r"|Model batch size: (?P<batch>\d{1,6})"
    r")\s*$"
)
_BUILD = re.compile(r"\[ INFO \] Build \.+ (\S{1,80})")
_MODE = re.compile(r"Benchmarking in (inference only|full) mode")
_REQUESTS = re.compile(r"(\d{1,6}) inference requests?\b")
_STEP = re.compile(r"\[Step \d{1,2}/1[01]\]")
_START = ("[Step 1/", "[ INFO ] Count:")


class Reader:
    """A run begins with its first step, or with the count of a pasted report."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []

    def feed(self, line: Line) -> None:
        """Take one line."""
        if self._begins(line.text):
            self.found.append(Run(self.source, FAMILY, line.number))
        if not self.found:
            return
        run = self.found[-1]
        if "[ ERROR ]" in line.text and not run.figure("throughput"):
            run.status = "failed"
            run.warnings.append(f"benchmark_app failed: {line.text.strip()[:200]}")
        if build := _BUILD.search(line.text):
            run.tool_version = run.tool_version or build[1]
        if mode := _MODE.search(line.text):
            run.facts["mode"] = mode[1]
        if requests := _REQUESTS.search(line.text):
            run.facts["requests"] = int(requests[1])
        if (match := _LINE.search(line.text)) and not line.cut:
            _keep(run, match, line.number)

    def _begins(self, text: str) -> bool:
        if _START[0] in text or (not self.found and _STEP.search(text)):
            return True
        counted = bool(self.found) and self.found[-1].figure("samples") is not None
        return _START[1] in text and (not self.found or counted)

    def runs(self) -> list[Run]:
        """The runs that came to a figure or failed."""
        runs = [run for run in self.found if run.figures or run.status == "failed"]
        for run in runs:
            _finish(run)
        return runs


def _keep(run: Run, match: re.Match[str], line: int) -> None:
    if match["batch"]:
        run.batch, run.batch_source = int(match["batch"]) or None, "model batch size"
        return
    found = _meaning(match)
    value = finite(found[1])
    if value is None or run.figure(found[0]):
        return
    note = "iterations, each of one batch" if found[0] == "samples" else None
    run.figures.append(
        Figure(found[0], value * found[3], found[2], CALL, None, "device", line, note=note)
    )


def _meaning(match: re.Match[str]) -> tuple[str, str, str, float]:
    """Name, number, unit and scale of the figure of a line."""
    scale = 1e-6 if "us" in (match["unit"], match["punit"]) else 1e-3
    if match["count"]:
        return "samples", match["count"], "1", 1
    if match["duration"]:
        return "walltime", match["duration"], "s", 1e-3
    if match["rate"]:
        return "throughput", match["rate"], "images/s", 1
    if match["old"]:
        return "latency_median", match["old"], "s", 1e-3
    if match["percent"]:
        kind = "median" if match["percent"] == "50" else f"p{int(match['percent'])}"
        return f"latency_{kind}", match["ptime"], "s", scale
    return f"latency_{_TIMES[match['kind'].lower()]}", match["time"], "s", scale


def _finish(run: Run) -> None:
    """The status; the batch where only the figures tell it; the rate against the count."""
    if run.status == "failed":
        run.figures = []
        return
    rate = run.figure("throughput")
    run.status = "ok" if rate else "incomplete"
    if run.facts.get("mode") == "full":
        run.warnings.append("full mode: the times also hold the filling of the inputs")
    count, wall = run.value("samples"), run.value("walltime")
    if not (rate and rate.value and count and wall):
        return
    batch = rate.value * wall / count
    if run.batch and not near(batch, run.batch, 0.02):
        run.warnings.append(
            f"{count:g} iterations of batch {run.batch} in {wall:g} s are"
            f" {count * run.batch / wall:.6g} FPS, the log prints {rate.value:g}"
        )
    elif not run.batch and round(batch) >= 1 and near(batch, round(batch), 0.005):
        run.batch, run.batch_source = round(batch), "FPS x duration / iterations"
