"""The figures of a comparison by a task's metric, as JSON and for people."""

from __future__ import annotations

from typing import Literal

import msgspec

from portproof.core.text import listed, printable
from portproof.metrics.tasks import Figure
from portproof.verdict import Verdict


class BothSides(msgspec.Struct, frozen=True):
    """A figure of both sides, null where it is not defined."""

    name: str
    reference: float | None
    port: float | None
    unit: str


class Influence(msgspec.Struct, frozen=True):
    """A sample, the judged figure of it alone on both sides, and about how much of the difference
    is its own, in the figure's unit (negative: the port is worse).
    """

    id: str
    reference: float | None
    port: float | None
    share: float


class Interval(msgspec.Struct, frozen=True):
    """How the interval was made: in words, with how many resamples, and their seed."""

    method: str
    resamples: int
    seed: int


class TaskComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison. Values, differences, bounds and margin are in ``unit`` (``1``: fractions), and
    for shares in percentage points too (names in ``_pp``, null for other units).

    ``difference`` and ``ci95`` are port minus reference; ``gate_bound`` and ``loss_lower_bound``
    bound the loss (how much worse the port is, whichever direction is worse), each one-sided at
    95 %. ``better``, ``worse``, ``equal``: samples whose own figure is. ``left_out``: samples of
    the truth that one side or both lack. ``doubt``: why there is no ground for a verdict, which is
    UNDECIDED then. ``samples_needed``: about how many would decide an open verdict.
    """

    verdict: Verdict
    task: str
    metric: str
    unit: str
    higher_is_better: bool
    reference_value: float | None
    port_value: float | None
    difference: float | None
    ci95: tuple[float, float] | None
    gate_bound: float | None
    loss_lower_bound: float | None
    margin: float
    difference_pp: float | None
    ci95_pp: tuple[float, float] | None
    gate_bound_pp: float | None
    margin_pp: float | None
    samples: int
    better: int
    worse: int
    equal: int
    figures: list[BothSides]
    worst: list[Influence]
    interval: Interval
    doubt: str | None
    left_out: int
    reference: str
    port: str
    truth: str
    simulated: bool = False
    samples_needed: int | None = None
    schema: Literal["portproof.task_comparison/1"] = "portproof.task_comparison/1"

    def to_json(self) -> bytes:
        """The JSON text, indented, with a newline at the end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The figures for people."""
        judged = Figure(self.metric, self.unit, self.higher_is_better)
        lines = ["REHEARSAL: the results are simulated"] if self.simulated else []
        lines.append(
            f"reference {judged.text(self.reference_value)}, port {judged.text(self.port_value)}"
            f" {self.metric} of {self.samples} samples ({self.task})"
        )
        if self.difference is not None and self.ci95 is not None:
            low, high = self.ci95
            lines.append(
                f"difference {self._signed(self.difference)}, 95 % interval"
                f" {self._signed(low, False)} to {self._signed(high, False)}"
                f" ({self.interval.method})"
            )
        lines.append(f"samples: {self.better} better, {self.worse} worse, {self.equal} equal")
        for other in self.figures:
            if other.name != self.metric:
                figure = Figure(other.name, other.unit)
                pair = f"{figure.text(other.reference)} -> {figure.text(other.port)}"
                lines.append(f"  {other.name}: {pair}")
        if self.left_out:
            lines.append(f"MISSING: {self.left_out} samples of the truth are in no figure")
        if self.worst:
            names = listed([f"{printable(w.id)} ({self._signed(w.share)})" for w in self.worst])
            lines.append(f"worst by influence: {names}")
        return "\n".join([*lines, "", self._verdict_text()])

    def _signed(self, value: float, with_unit: bool = True) -> str:
        is_share = self.unit == "1"
        number = f"{100 * value:+.3f}" if is_share else f"{value:+.4g}"
        return f"{number} {'points' if is_share else self.unit}" if with_unit else number

    def _amount(self, value: float | None) -> str:
        return self._signed(value or 0.0).replace("+", "", 1)

    def _verdict_text(self) -> str:
        points = self.margin_pp is not None
        amount = f"{self.margin_pp:g} points" if points else f"{self.margin:g} {self.unit}"
        margin = f"the margin of {amount}"
        if self.verdict is Verdict.PASS:
            bound = self._amount(self.gate_bound)
            return f"PASS: the loss is under {bound} (95 % confidence), within {margin}"
        if self.verdict is Verdict.FAIL:
            bound = self._amount(self.loss_lower_bound)
            return f"FAIL: the loss is over {bound} (95 % confidence), beyond {margin}"
        if self.doubt:
            return f"UNDECIDED: {self.doubt}"
        return (
            f"UNDECIDED: the loss may be as high as {self._amount(self.gate_bound)}, {margin} is"
            f" not proved{self._needed()}"
        )

    def _needed(self) -> str:
        if self.samples_needed is None:
            return ""
        return f"; about {self.samples_needed} samples would decide, if the loss stays as it is"
