"""The end of ais_bench's console where it ran on several devices or at several shapes: each one's
rate again, and the devices' together.
"""

from __future__ import annotations

import re

from portproof.logs.consistency import near
from portproof.logs.families.ais_bench.summary import FAMILY
from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import DEVICE, Figure, Run

_DEVICE = re.compile(rf"\bi:(\d{{1,3}}) device_(\d{{1,3}}) throughput:({NUMBER})(?=\s)")
_BEGAN = re.compile(r"\bmultidevice:\[([\d, ]{1,2000})\] run begin")
_ENDED = re.compile(r"\bmultidevice run end qsize:\d{1,9} result:(\d{1,9})")
_TOTAL = re.compile(rf"\bsummary throughput:({NUMBER})\s*$")
_DYMSHAPE = re.compile(rf"\bdymshape:(\S.{{0,300}}?) result:(\w+) throughput:({NUMBER})\s*$")
#: Digits of a double printed in full; fewer at the very end of a file may be a cut number.
WHOLE_DIGITS = 15


class Tail:
    """Adds to ``runs``, those found so far."""

    def __init__(self, source: str, runs: list[Run]) -> None:
        self.source, self.found = source, runs
        self.asked_for = 0
        self.has_failed = False

    def feed(self, line: Line) -> bool:
        """Take one line; whether it is of the tail."""
        if device := _DEVICE.search(line.text):
            self._device(int(device[2]), float(device[3]), line.number)
        elif shape := _DYMSHAPE.search(line.text):
            self._dymshape(shape, line)
        elif total := _TOTAL.search(line.text):
            self._total(total[1], line)
        elif began := _BEGAN.search(line.text):
            self.asked_for, self.has_failed = len(began[1].split(",")), False
        elif ended := _ENDED.search(line.text):
            self.has_failed = ended[1] != "0"
        else:
            return False
        return True

    def _device(self, device: int, value: float, line: int) -> None:
        """The tail of a run on several devices repeats each device's rate; one that was not printed
        before is a run of its own.
        """
        for run in self.found:
            figure = run.figure("throughput")
            if figure and figure.value == value and "device_id" not in run.facts:
                run.facts["device_id"] = device
                return
        run = Run(self.source, FAMILY, line, status="ok", facts={"device_id": device})
        run.figures.append(Figure("throughput", value, "images/s", DEVICE, "infer", "chip", line))
        self.found.append(run)

    def _dymshape(self, match: re.Match[str], line: Line) -> None:
        """A line of the tail of ``--dymShape_range`` repeats the rate of one shape; one that was
        not printed before is a run of its own.
        """
        shape, result, printed = match[1], match[2], float(match[3])
        if line.cut and len(match[3].replace(".", "").lstrip("0")) < WHOLE_DIGITS:
            return
        for run in self.found:
            figure = run.figure("throughput")
            if figure and figure.value == printed and "dymshape" not in run.facts:
                run.facts["dymshape"] = shape
                return
        run = Run(
            self.source,
            FAMILY,
            line.number,
            status="ok" if result == "OK" else "failed",
            facts={"dymshape": shape},
        )
        if run.status == "ok":
            run.figures.append(
                Figure("throughput", printed, "images/s", DEVICE, "infer", "chip", line.number)
            )
        else:
            run.warnings.append(
                f"the tool says '{result}' for the shape {shape} (line {line.number})"
            )
        self.found.append(run)

    def _total(self, text: str, line: Line) -> None:
        """The sum over devices: a figure of no single chip, checked against the devices' own."""
        if line.cut and len(text.replace(".", "").lstrip("0")) < WHOLE_DIGITS:
            return
        parts = [
            f.value
            for run in self.found
            if "device_id" in run.facts and (f := run.figure("throughput")) and f.value
        ]
        run = Run(
            self.source, FAMILY, line.number, status="ok", facts={"devices": len(parts) or None}
        )
        run.figures.append(
            Figure("throughput_total", float(text), "images/s", DEVICE, "infer", None, line.number)
        )
        if parts and not near(sum(parts), float(text), 1e-6):
            run.warnings.append(
                f"the devices' rates add up to {sum(parts):.7g}, the summary says {float(text):.7g}"
            )
        if self.has_failed or len(parts) < self.asked_for:
            run.status = "incomplete"
            of = f" of {self.asked_for}" if self.asked_for else ""
            run.warnings.append(f"a device failed: the total is of {len(parts)}{of} devices")
        self.found.append(run)
