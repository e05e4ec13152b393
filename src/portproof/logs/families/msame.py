"""``msame`` (Ascend): the average time of one execution of the whole batch, and its success line.

Its exit code cannot be trusted (a wrong argument exits 0), so a log without ``Execute sample
success`` is incomplete.
"""

from __future__ import annotations

import math
import re

from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import DEVICE, Figure, Run

FAMILY = "msame"
MARKS = ("Inference average time", "Inference time", "Execute sample", "--dymBatch")

#: At the beginning of a line, after a wrapper's mark or time, or after another average on one
#: pasted line; what follows is no sentence.
_AVERAGE = re.compile(
    r"(?:^|[\])|]|\d\s|(?<=ms))\s*Inference average time( without first time)?"
    rf"\s*[:：]\s*({NUMBER})\s*ms(?=\s*(?:$|\[|`|Inference ))"
)
_CALL = re.compile(rf"\bInference time:\s*({NUMBER})\s*ms\b")
_VERDICT = re.compile(r"Execute sample (success|fail)")
_DYMBATCH = re.compile(r"\s--dymBatch[= ]+\"?(\d{1,5})\b")


class Reader:
    """A run begins with its average time, also a second one, and ends with its verdict."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self.open: Run | None = None
        self.batch: int | None = None
        self.times: list[float] = []

    def feed(self, line: Line) -> None:
        """Take one line."""
        command = _DYMBATCH.search(line.text)
        if command and "msame" in line.text[: command.start()]:
            self.batch = int(command[1])
        self.times += [float(ms) / 1000 for ms in _CALL.findall(line.text)]
        for average in _AVERAGE.finditer(line.text):
            self._average(
                "latency_mean_without_first" if average[1] else "latency_mean",
                float(average[2]),
                line.number,
            )
        if (verdict := _VERDICT.search(line.text)) and (verdict[1] == "fail" or self.open):
            run = self._opened(line.number)
            run.status = "ok" if verdict[1] == "success" else "failed"
            if run.status == "failed":
                run.figures, run.warnings = (
                    [],
                    [f"the tool says that it failed (line {line.number})"],
                )
            self.open = self.batch = None

    def _opened(self, line: int) -> Run:
        if self.open is None:
            self.open = Run(
                self.source,
                FAMILY,
                line,
                batch=self.batch,
                batch_source="command line" if self.batch else None,
            )
            self.found.append(self.open)
        self.open.times, self.times = self.open.times + self.times, []
        return self.open

    def _average(self, name: str, milliseconds: float, line: int) -> None:
        if self.open and self.open.figure(name):
            self.open = None
        if milliseconds > 0 and math.isfinite(milliseconds):
            self._opened(line).figures.append(
                Figure(name, milliseconds / 1000, "s", DEVICE, "infer", "chip", line)
            )

    def runs(self) -> list[Run]:
        """The runs found, each with its rate where the batch is known: batch over the mean, without
        the first execution if it is given.
        """
        for run in self.found:
            mean = mean_of(run)
            if mean and mean.value and run.batch:
                how = f"{run.batch} / {mean.value:.7g} s"
                run.figures.insert(
                    0,
                    Figure(
                        "throughput",
                        run.batch / mean.value,
                        "images/s",
                        DEVICE,
                        "infer",
                        "chip",
                        mean.line,
                        derived=how,
                    ),
                )
        return self.found


def mean_of(run: Run) -> Figure | None:
    """The mean time of an execution, without the first one if that is printed: the batch over it is
    the rate.
    """
    return run.figure("latency_mean_without_first") or run.figure("latency_mean")
