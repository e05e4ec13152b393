"""The runs in a log, each with its figures, where each was read, and warnings of what does not
fit.

The keys of the JSON form are a contract (``metrics/throughput.py --json``). Values are SI: seconds,
images per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

Status = Literal["ok", "failed", "incomplete"]
DEVICE, DEVICE_COPIES, CALL, END_TO_END = "device", "device+copies", "call", "end_to_end"
_OF_THE_DEVICE = (DEVICE, DEVICE_COPIES, CALL)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a log.

    ``boundary``: what the clock enclosed, or None where the tool does not say. ``per``: ``chip``,
    ``card`` or ``device``. ``line``: 1-based, in the file it was read from. ``derived``: how the
    value was worked out, with its operands, or None when it is printed in the log. ``recovered``:
    what a value that the tool failed to print (then ``value`` is None) must have been. ``note``:
    what a reader must know to use it.
    """

    name: str
    value: float | None
    unit: str
    boundary: str | None
    stage: str | None
    per: str | None
    line: int
    derived: str | None = None
    recovered: float | None = None
    note: str | None = None

    @property
    def best_value(self) -> float | None:
        """The value, or what was recovered in its place."""
        return self.value if self.value is not None else self.recovered


@dataclass(slots=True)
class Run:
    """One run of one tool, as its log shows it.

    ``batch``: samples in a call, None when the log does not say; ``batch_source`` says from what it
    is known. ``chips``: how many chips the figures of ``per: card`` are multiplied by. ``facts``:
    what else the log says (command, device, precision, label ...). ``times``: seconds of each
    execution, where they are printed; not in the JSON form.
    """

    source: str
    family: str
    line: int
    tool_version: str | None = None
    status: Status = "incomplete"
    batch: int | None = None
    batch_source: str | None = None
    chips: int | None = None
    simulated: bool = False
    warnings: list[str] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)

    def value(self, name: str, boundary: str | None = None) -> float | None:
        """The value of the first figure of that name, printed or recovered."""
        figure = self.figure(name, boundary)
        return figure.best_value if figure else None

    def figure(
        self,
        name: str,
        boundary: str | None = None,
        stage: str | None = None,
        unit: str | None = None,
    ) -> Figure | None:
        """The first figure of that name (and boundary, stage, unit where given)."""
        for one in self.figures:
            matches = (
                boundary in (None, one.boundary)
                and stage in (None, one.stage)
                and unit in (None, one.unit)
            )
            if one.name == name and matches:
                return one
        return None

    def as_dict(self) -> dict[str, Any]:
        """The run in its published JSON form."""
        plain = {name: getattr(self, name) for name in _RUN_KEYS}
        plain["figures"] = [
            {name: getattr(one, name) for name in _FIGURE_KEYS} for one in self.figures
        ]
        return plain


_RUN_KEYS = tuple(f.name for f in fields(Run) if f.name != "times")
_FIGURE_KEYS = tuple(f.name for f in fields(Figure))


def add_card_figures(run: Run, chips: int) -> None:
    """Add a ``per: card`` figure beside each rate of one chip or device; no value is changed.

    A tool times one chip; a card of ``chips`` chips does that many times the work. That holds for
    the device's work, not for what the host does around it, so stage rates and ``end_to_end`` have
    no card figure.
    """
    run.chips = chips
    added = [
        replace(
            one,
            value=None if one.value is None else one.value * chips,
            recovered=None if one.recovered is None else one.recovered * chips,
            per="card",
            derived=f"{one.best_value:.10g} x {chips} chips",
        )
        for one in run.figures
        if one.name == "throughput"
        and one.per in ("chip", "device")
        and one.best_value is not None
        and one.boundary in _OF_THE_DEVICE
        and math.isfinite(one.best_value * chips)
    ]
    run.figures.extend(added)
