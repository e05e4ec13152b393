"""The speed of several models together: the time of every part, as often as a sample needs it.

The parts are timed one by one, each as a model alone is. What lies between them (the glue, and
reading and writing) is not in the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from portproof.measurement import Boundary, Performance, read_performance
from portproof.proof.sidecar import proof_of
from portproof.rundir.layout import REFERENCE, FedDir, PartDir, RunDir, Side
from portproof.rundir.parts.part_outputs import verdict_text


@dataclass(frozen=True)
class PartTime:
    """One part of a side. ``calls``: how often its model runs for one sample of the data; None
    where that is not known yet. ``performance``: None where it was not timed yet.
    """

    name: str
    calls: float | None
    performance: Performance | None

    def seconds(self, label: str, batch: int, boundary: Boundary) -> float | None:
        """The part's time for one sample of the data; None where it was not measured."""
        rates = [
            m.images_per_second
            for m in (self.performance.measurements if self.performance else ())
            if (m.label, m.batch, m.boundary) == (label, batch, boundary)
        ]
        rate = rates[0] if rates else None
        return self.calls / rate if rate and self.calls is not None else None

    def ratio(self, label: str, batch: int) -> tuple[float, float, float] | None:
        """Its rate over the reference's, and the interval, at the boundary ``call``."""
        wanted = (label, REFERENCE, batch, "call")
        ratios = self.performance.ratios if self.performance else ()
        found = next((r for r in ratios if (r.a, r.b, r.batch, r.boundary) == wanted), None)
        return (found.ratio, *found.ci95) if found and found.ci95 else None


@dataclass(frozen=True)
class Sum:
    """All parts of a side at one batch: seconds for a sample of the data, of each part and of all,
    and of the reference, timed in alternation; ``ratio``: how many times faster the side is, with
    the interval that holds if those of all parts hold.
    """

    batch: int
    boundary: Boundary
    seconds: tuple[float, ...]
    reference: tuple[float, ...] | None = None
    ratio: tuple[float, float, float] | None = None

    @property
    def total(self) -> float:
        """Seconds of all parts."""
        return math.fsum(self.seconds)


def part_times(run: RunDir, side: Side) -> list[PartTime]:
    """The parts of a side, in their order."""
    found, first = list[PartTime](), 0
    for name in run.settings.parts:
        files = PartDir(run.root, run.settings, name)
        fed = FedDir(run.root, run.settings, name, side.label)
        proof = proof_of(run.root / (fed if found else files).result(side, run.accuracy_batch))
        facts = proof.facts if proof else {}
        samples, each = facts.get("samples"), facts.get("calls_a_batch", 1.0)
        first = first or samples or 0
        calls = each * samples / first if each and first and samples else None
        perf = run.root / files.perf(side)
        performance = read_performance(perf) if perf.is_file() else None
        found.append(PartTime(name, calls, performance))
    return found


def sums(run: RunDir, side: Side, times: Sequence[PartTime]) -> list[Sum]:
    """The sum at each batch at which every part was timed."""
    boundary: Boundary = "call" if side.is_in_alternation else "device"
    found = []
    for batch in run.settings.batches:
        own = [part.seconds(side.label, batch, boundary) for part in times]
        known = [s for s in own if s is not None]
        if len(known) == len(own):
            base = [part.seconds(REFERENCE, batch, boundary) for part in times]
            reference = [s for s in base if s is not None]
            total = Sum(batch, boundary, tuple(known))
            found.append(_against(total, reference, times, side) if all(base) else total)
    return found


def _against(own: Sum, reference: Sequence[float], times: Sequence[PartTime], side: Side) -> Sum:
    """The sum with the reference's: a part that is surely so many times faster takes at most the
    reference's time over that.
    """
    total = math.fsum(reference)
    known = [r for part in times if (r := part.ratio(side.label, own.batch)) and min(r) > 0]
    if len(known) < len(times):
        return replace(own, reference=tuple(reference))
    middle, low, high = (
        total / math.fsum(s / r[at] for s, r in zip(reference, known, strict=True))
        for at in range(3)
    )
    return replace(own, reference=tuple(reference), ratio=(middle, low, high))


def best_sum(run: RunDir, side: Side, times: Sequence[PartTime]) -> Sum | None:
    """The sum at the batch at which a sample takes the least time."""
    return min(sums(run, side, times), key=lambda total: total.total, default=None)


@dataclass(frozen=True)
class PartRow:
    """A row of the table of parts: of a part, or (``part`` is None) of all. ``outputs``: the
    verdict on its outputs alone; seconds are for one sample of the data, at ``batch``.
    """

    label: str
    part: str | None
    outputs: str
    calls: float | None = None
    batch: int | None = None
    seconds: float | None = None
    reference: float | None = None
    ratio: tuple[float, float, float] | None = None


def part_rows(run: RunDir) -> list[PartRow]:
    """A row for each part of each side that is compared, and one for their sum."""
    rows = []
    for side in run.compared if run.settings.parts else ():
        times = part_times(run, side)
        best = best_sum(run, side, times)
        for at, part in enumerate(times):
            outputs = verdict_text(PartDir(run.root, run.settings, part.name), side)
            row = PartRow(side.label, part.name, outputs, part.calls)
            if best:
                base = best.reference[at] if best.reference else None
                ratio = part.ratio(side.label, best.batch)
                row = replace(
                    row, batch=best.batch, seconds=best.seconds[at], reference=base, ratio=ratio
                )
            rows.append(row)
        if best:
            base = math.fsum(best.reference) if best.reference else None
            rows.append(
                PartRow(side.label, None, "", None, best.batch, best.total, base, best.ratio)
            )
    return rows
