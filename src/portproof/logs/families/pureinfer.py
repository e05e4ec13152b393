"""Pure inference of ``benchmark`` (``-round=N``): its console, and its ``PureInfer_perf_of_*``
files.

One line carries the figures, with ``:`` on the console and ``=`` in the file; ``thoroughputRate``
is a real misspelling. ``ave_latency`` is per *sample*: the time of a batch over the batch. Rate and
latency are averaged apart, so their product is 1 only within five percent. A line that goes on to
multiply by the chips of a card is a document's statement and not the tool's.
"""

from __future__ import annotations

import math
import os
import re
import statistics

from portproof.logs.consistency import PURE_SLACK, near, rate_times_latency
from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import DEVICE, Figure, Run

FAMILY = "pureinfer"
MARKS = ("ave_th", "PureInfer", "Dataset number:", "-batch_size")

#: After ASCII only (a document's own words are not), or after the tool's own mark.
_RATE = re.compile(
    rf"(?:^[\x20-\x7e\t]*?|\[INFO\]\s?)ave_th\w{{0,5}}ughputRate\s*[:：=\ufffd]{{1,3}}\s*({NUMBER})\s*(samples/s)?\s*"
)
_LATENCY = re.compile(
    rf"[,，\ufffd]*\s*ave_latency\s*[:：=\ufffd]{{1,3}}\s*({NUMBER})\s*ms(?![A-Za-z])"
)
_CUT = re.compile(r"[,，\ufffd]*\s*(?:a(?:v(?:e(?:_\w*)?)?)?)?\s*[:=]?\s*[0-9.]*m?\s*$")
_COST = re.compile(rf"Dataset number: (\d{{1,6}}) finished cost ({NUMBER})\s*ms")
_SAVED = re.compile(r"PureInfer_perf_of_(\S{1,200}?)_in_device_(\d{1,3})")
_COMMAND = re.compile(r"\s--?batch_size[= ](\d{1,5})\b")
#: Executions before which a mean cost says nothing about the batch.
_ENOUGH = 10


def _named(text: str) -> dict[str, object]:
    """Model, device and the batch in the model's name, from the name of a result file."""
    saved = _SAVED.search(text)
    if not saved:
        return {}
    batch = re.search(r"(?:^|_)(?:bs|batch)_?(\d{1,4})(?:_|$)", saved[1])
    return {"model": saved[1], "device_id": int(saved[2])} | (
        {"batch_hint": int(batch[1])} if batch else {}
    )


class Reader:
    """One run a figure line; lines before it have its model, device, command and costs."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self._forget()

    def _forget(self) -> None:
        self.facts = _named(os.path.basename(self.source))
        self.batch: int | None = None
        self.costs: list[float] = []

    def feed(self, line: Line) -> None:
        """Take one line."""
        self.facts |= _named(line.text)
        for cost in _COST.finditer(line.text):
            if cost[1] == "0" and self.costs:
                self._forget()
            self.costs.append(float(cost[2]))
        command = _COMMAND.search(line.text)
        if command and "benchmark" in line.text[: command.start()]:
            self.batch = int(command[1])
        if rate := _RATE.search(line.text):
            self._take(rate, line)

    def _take(self, rate: re.Match[str], line: Line) -> None:
        """A run from its figure line, unless the line is prose."""
        rest = line.text[rate.end() :]
        latency = _LATENCY.match(rest)
        if latency is None and not (rate[2] and _CUT.fullmatch(rest)):
            return
        run = Run(self.source, FAMILY, line.number, batch=self.batch, facts=dict(self.facts))
        run.batch_source = "command line" if self.batch else None
        run.times = [cost / 1000 for cost in self.costs]
        run.figures.append(
            Figure("throughput", float(rate[1]), "images/s", DEVICE, "infer", "chip", line.number)
        )
        if latency is not None:
            run.status = "ok"
            note = "per sample: the time of a batch over the batch"
            run.figures.append(
                Figure(
                    "latency_mean",
                    float(latency[1]) / 1000,
                    "s",
                    DEVICE,
                    "infer",
                    "chip",
                    line.number,
                    note=note,
                )
            )
        else:
            run.warnings.append(f"line {line.number} is cut off before its latency")
        self._check(run)
        if all(f.value and math.isfinite(f.value) for f in run.figures):
            self.found.append(run)
        self._forget()

    def _check(self, run: Run) -> None:
        """Rate x latency is 1; the cost of an execution is batch x latency."""
        product = rate_times_latency(run, "infer")
        if product is None:
            return
        rate, latency = run.figures[0].value, run.figures[1].value or math.inf
        if not near(product, 1, PURE_SLACK):
            run.warnings.append(
                f"rate x latency is not 1: {rate:g}/s x {latency:g} s = {product:.4g}"
            )
        named = run.batch or run.facts.get("batch_hint")
        if len(self.costs) >= _ENOUGH and named:
            batch = statistics.fmean(self.costs) / 1000 / latency
            if not near(batch, named, 0.1):
                run.warnings.append(
                    f"the run is said to have batch {named}; the cost of an execution over the"
                    f" latency gives {batch:.3g}"
                )

    def runs(self) -> list[Run]:
        """The runs found."""
        return self.found
