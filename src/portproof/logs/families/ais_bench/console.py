"""``ais_bench`` and ``ais_infer`` (Ascend): the console of every generation.

The clock encloses ``aclmdlExecute`` alone, so the rate is the device's own: 1000 x batch / mean of
NPU_compute_time. Four generations word the line of the throughput differently, and that of May 2022
divided by the batch where it should multiply. Times are ms.
"""

from __future__ import annotations

import math
import re

from portproof.logs.consistency import near
from portproof.logs.families.ais_bench.fragment import JsonFragment
from portproof.logs.families.ais_bench.summary import (
    FAMILY,
    GROUPS,
    MOST_BATCHES,
    throughput_figure,
)
from portproof.logs.families.ais_bench.tail import WHOLE_DIGITS, Tail
from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import DEVICE, Figure, Run

MARKS = (
    "NPU_compute_time",
    "H2D_latency",
    "D2H_latency",
    "throughput",
    '"m',
    '"percentile(99%)"',
    '"count"',
    "get model batchsize",
    "get filesperbatch",
    "ais_bench",
    "ais_infer",
    "--batchsize",
    "--dymBatch",
    "[ERROR]",
    "Traceback (most recent call last)",
    "RuntimeError",
    "dymshape:",
    "multidevice",
    "Inference array Processing",
    "Inference Processing task",
)

_PARTS = re.compile(
    r"(?=\[INFO\])|"
    r"(?<!\[INFO\] )(?=\b(?:"
    r"(?:H2D_latency|NPU_compute_time|D2H_latency) \(ms\)|throughput\s*\(?1000))"
)
_SPREAD = re.compile(r"(NPU_compute_time|H2D_latency|D2H_latency) \(ms\)\s*[:：](.*)")
_STATISTIC = re.compile(
    rf"\b(min|max|mean|median|percentile\(([0-9][0-9.]{{0,7}})%\))\s*=\s*({NUMBER})(?=\s*(,|，|$))"
)
_THROUGHPUT = re.compile(
    rf"throughput\s*(\(?1000[^:：]{{0,120}}?\)?)\s*[:：]\s*({NUMBER}|-?nan|inf)\s*(?:-{{5,}}\s*)?$"
)
_BATCH = re.compile(rf"batchsize(?:\.mean)?\(({NUMBER})\)")
_MEAN = re.compile(rf"NPU_compute_time(?:\.mean)?\(({NUMBER})\)")
_DIVIDED = re.compile(r"NPU_compute_time\s*/\s*batchsize")
_COMMAND = re.compile(r"\s--?(?:batchsize|dymBatch)[= ]+(\d{1,5})\b")
_STARTED = re.compile(
    r"try get model batchsize|get filesperbatch|"
    r"Inference array Processing|Inference Processing task|ais_bench/\S*\.py\""
)
_DERIVED = re.compile(r"try get model batchsize:(\d{1,6})\s*$")
_FILES = re.compile(r"get filesperbatch .{0,120}filesperbatch:(\d{1,6})\b")


class Reader:
    """Statistics open a run, the line of the throughput closes it. Two devices' lines may come
    interleaved: the mean distinguishes them.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Run] = []
        self.pending: list[Run] = []
        self.commanded: int | None = None
        self.files_per_batch: int | None = None
        self.derived: int | None = None
        self.started: int | None = None
        self.error: tuple[str, int] | None = None
        self.fragment = JsonFragment(source)
        self.tail = Tail(source, self.found)

    def feed(self, line: Line) -> None:
        """Take one line, which may be a whole summary pasted on one."""
        parts = _PARTS.split(line.text)
        for i, text in enumerate(parts):
            if text:
                self._feed(Line(line.number, text, line.cut and i == len(parts) - 1))

    def _feed(self, line: Line) -> None:
        command = _COMMAND.search(line.text)
        if command and any(
            name in line.text[: command.start()] for name in ("ais_bench", "ais_infer", "main.py")
        ):
            self.commanded = int(command[1])
        if _STARTED.search(line.text):
            self.started = self.started or line.number
        if files := _FILES.search(line.text):
            self.files_per_batch = int(files[1])
        if derived := _DERIVED.search(line.text):
            self.derived = int(derived[1])
        if "[ERROR]" in line.text or (
            self.started and line.text.startswith(("Traceback", "RuntimeError:"))
        ):
            self._error(line)
        if spread := _SPREAD.search(line.text):
            self._spread(GROUPS[spread[1]], spread[2], line)
        elif throughput := _THROUGHPUT.search(line.text):
            self._throughput(throughput, line)
        elif not self.tail.feed(line) and '"' in line.text:
            self.fragment.feed(line)

    def _spread(self, group: tuple[str, str | None], text: str, line: Line) -> None:
        name, boundary = group
        run = self.pending[-1] if self.pending else None
        if run is None or run.figure(f"{name}_mean") or run.figure(f"{name}_min"):
            run = Run(self.source, FAMILY, line.number)
            self.pending.append(run)
            self.found.append(run)
        for match in _STATISTIC.finditer(text):
            if line.cut and match.end() == len(text):
                continue
            kind = f"p{float(match[2]):g}" if match[2] and match[2].count(".") < 2 else match[1]
            value = float(match[3]) / 1000
            if math.isfinite(value):
                run.figures.append(
                    Figure(f"{name}_{kind}", value, "s", boundary, "infer", "chip", line.number)
                )

    def _error(self, line: Line) -> None:
        """Keep the first error; the reason of a traceback is in a later line."""
        if self.error is None or self.error[0].startswith("Traceback"):
            self.error = (line.text.strip()[:200], line.number)

    def _throughput(self, match: re.Match[str], line: Line) -> None:
        formula, printed = match[1], float(match[2])
        mean = _MEAN.search(formula)
        run = self._of_mean(float(mean[1]) if mean else None, line.number)
        if mean and run.figure("compute_mean") is None:
            run.figures.append(
                Figure(
                    "compute_mean", float(mean[1]) / 1000, "s", DEVICE, "infer", "chip", line.number
                )
            )
        self._set_batch(run, formula)
        if not math.isfinite(printed):
            run.warnings.append(
                f"the throughput printed is '{match[2]}' (line {line.number}), which is not a"
                " number"
            )
        elif line.cut and not _is_whole(match[2], mean[1] if mean else None, run.batch):
            run.warnings.append(
                f"the file ends within the throughput {match[2]} (line {line.number}), which may be"
                " cut and is left out"
            )
        else:
            run.status = "ok"
            run.figures.insert(
                0,
                throughput_figure(
                    run, printed, line.number, divided=bool(_DIVIDED.search(formula))
                ),
            )
        self._check_files(run)
        if run in self.pending:
            self.pending.remove(run)

    def _set_batch(self, run: Run, formula: str) -> None:
        """Set the batch that the throughput counts."""
        if batch := _BATCH.search(formula):
            size = float(batch[1])
            whole = size < MOST_BATCHES and near(size, round(size), 1e-9)
            run.batch = round(size) if whole else None
            run.batch_source = "throughput line" if run.batch else None
        elif self.commanded:
            run.batch, run.batch_source = self.commanded, "command line"

    def _check_files(self, run: Run) -> None:
        """Compare the batch that the throughput counts with the files of an execution."""
        if (
            run.batch
            and self.files_per_batch
            and run.batch not in (self.files_per_batch, self.derived)
        ):
            whole = (
                ""
                if self.files_per_batch > run.batch
                else ", unless each file holds several samples"
            )
            run.warnings.append(
                f"the throughput counts batch {run.batch}, each execution took"
                f" {self.files_per_batch} files (--batchsize was wrong{whole})"
            )

    def _of_mean(self, mean: float | None, line: int) -> Run:
        """The open run whose compute mean the throughput line names, else the last, else a new."""
        for run in self.pending:
            figure = run.figure("compute_mean")
            if (
                mean is not None
                and figure
                and figure.value is not None
                and near(figure.value * 1000, mean, 1e-6)
            ):
                return run
        if self.pending:
            return self.pending[-1]
        self.found.append(Run(self.source, FAMILY, line))
        return self.found[-1]

    def runs(self) -> list[Run]:
        """The runs found; one failed run where the tool started, printed an error and no
        figure.
        """
        self.found += self.fragment.runs()
        for run in self.found:
            if self.files_per_batch:
                run.facts.setdefault("files_per_batch", self.files_per_batch)
        if not self.found and self.started:
            run = Run(
                self.source, FAMILY, self.started, status="failed" if self.error else "incomplete"
            )
            run.warnings.append(
                f"{self.error[0]} (line {self.error[1]})"
                if self.error
                else "the log ends before its summary"
            )
            self.found.append(run)
        elif self.error and self.found:
            self.found[-1].warnings.append(
                f"the tool also printed: {self.error[0]} (line {self.error[1]})"
            )
        return self.found


def _is_whole(printed: str, mean: str | None, batch: int | None) -> bool:
    """Whether a throughput that ends the file has all its digits: those of a double, or what the
    rest of its line makes of it.

    A log that was shortened by hand (a mean of a few digits) has a throughput that follows from the
    mean within their rounding.
    """
    if len(printed.replace(".", "").lstrip("0")) >= WHOLE_DIGITS:
        return True
    if mean is None or batch is None or not float(mean):
        return False
    expected = 1000 * batch / float(mean)
    shortened = len(mean.replace(".", "")) < 10 and len(printed.partition(".")[2]) >= 2
    return near(float(printed), expected, 0.01 if shortened else 1e-9)
