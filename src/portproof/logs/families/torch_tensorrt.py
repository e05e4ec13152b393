"""The tables of Torch-TensorRT's ``perf_run.py``: Markdown, CSV, or as pandas prints them.

Its clock runs around one call of the model and a synchronisation, with inputs and outputs that stay
on the GPU, so no copy is enclosed: ``device`` (with what it costs to launch). ``FPS`` is the batch
over the time of a call; ``Mean(FPS)`` is the mean of those rates, a little above the batch over the
mean time. Until 2022 the columns ``Latency(ms)`` held seconds: rate x time tells, and then the
figures are read as seconds, with a warning.

Samples: alibaba/BladeDISC pull request 202 (the table in seconds); tools/perf/perf_run.py of
pytorch/TensorRT, whose code names the columns.
"""

from __future__ import annotations

import re

from portproof.logs.lines import NUMBER, Line, finite
from portproof.logs.logged import DEVICE, Figure, Run

FAMILY = "torch_tensorrt"
MARKS = ("Median(FPS)", "Torch", "torch", "TensorRT", "tensorrt", "Dynamo", "Inductor", "Summary")

_NAMES = {
    "Median(FPS)": ("throughput_median", "images/s"),
    "Mean(FPS)": ("throughput", "images/s"),
    "Median-Latency(ms)": ("latency_median", "s"),
    "Mean-Latency(ms)": ("latency_mean", "s"),
    "99th_p": ("latency_p99", "s"),
}
_CELLS = re.compile(r"Batch size|Compile Time\(m?s\)|[^\s|,]+")
_MODEL = re.compile(r"Model Summary:\s*(\S{1,120})")
_NUMBER = re.compile(NUMBER)
_FACTS = ("backend", "precision", "model")
_NOTE = "mean of the rates of the calls"


class Reader:
    """The titles of a table, then a run for each row below."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self.titles: list[str] = []
        self.model: str | None = None

    def feed(self, line: Line) -> None:
        """Take one line."""
        if model := _MODEL.search(line.text):
            self.model, self.titles = model[1], []
        elif "Median(FPS)" in line.text:
            self.titles = _CELLS.findall(line.text)
        elif self.titles and not line.cut:
            cells = _CELLS.findall(line.text)
            # pandas and CSV number the rows, below no title.
            if len(cells) == len(self.titles) + 1 and cells[0].isdecimal():
                cells = cells[1:]
            if len(cells) == len(self.titles):
                self._row(line.number, dict(zip(self.titles, cells, strict=True)))

    def _row(self, line: int, row: dict[str, str]) -> None:
        values = {t: finite(row[t]) for t in _NAMES if _NUMBER.fullmatch(row.get(t, ""))}
        rate = values.get("Median(FPS)") or values.get("Mean(FPS)")
        if not rate:
            return
        batch = row.get("Batch size", "")
        run = Run(self.source, FAMILY, line, status="ok")
        if batch.isascii() and batch.isdecimal() and int(batch[:6]):
            run.batch, run.batch_source = int(batch[:6]), "column of batch sizes"
        facts = {title.lower(): row[title] for title in row if title.lower() in _FACTS}
        run.facts = {"label": facts.get("backend", "")} | facts
        if model := row.get("Model") or self.model:
            run.facts["model"] = model
        scale = self._scale(run, values, rate)
        run.figures = [
            _figure(title, value * (1 if _NAMES[title][1] != "s" else scale), line)
            for title, value in values.items()
            if value
        ]
        self.found.append(run)

    def _scale(self, run: Run, values: dict[str, float | None], rate: float) -> float:
        """The unit of the times: less than a hundredth of an image under way is none of 1 ms."""
        time = values.get("Median-Latency(ms)") or values.get("Mean-Latency(ms)")
        if time and rate * time * 1e-3 < 0.01 * (run.batch or 1):
            run.warnings.append(
                f"the columns say ms and hold seconds: {rate:g}/s x {time:g} = {rate * time:.4g}"
            )
            return 1.0
        return 1e-3

    def runs(self) -> list[Run]:
        """The runs found."""
        return self.found


def _figure(title: str, value: float, line: int) -> Figure:
    name, unit = _NAMES[title]
    note = _NOTE if name == "throughput" else None
    return Figure(name, value, unit, DEVICE, "infer", "device", line, note=note)
