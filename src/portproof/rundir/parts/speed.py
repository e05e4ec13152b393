"""The speed gate of a port of several models: over the sum of their times for a sample."""

from __future__ import annotations

from portproof.measurement import Performance
from portproof.rundir.gates import Gate, speed_verdict
from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.parts.sums import PartTime, Sum, best_sum, part_times
from portproof.verdict import Verdict


def speed_gate(run: RunDir, side: Side) -> Gate:
    """Whether all parts together are at least as fast as the reference's, at the best batch."""
    times, label = part_times(run, side), side.label
    if missing := [part.name for part in times if part.performance is None]:
        return Gate(label, "speed", None, f"there is no measurement of {' and '.join(missing)}")
    if wrong := _of_parts(times, label, "wrong"):
        return Gate(label, "speed", Verdict.FAIL, f"wrong answers have no speed: {wrong[0]}")
    best = best_sum(run, side, times)
    if best is None:
        return Gate(label, "speed", None, "no batch was timed of every part")
    reason = _words(best, times)
    if any(part.performance and part.performance.simulated for part in times):
        return Gate(label, "speed", Verdict.UNDECIDED, f"{reason}, simulated: nothing was measured")
    if doubts := _of_parts(times, label, "reasons"):
        more = f" (and {len(doubts) - 1} more)" if len(doubts) > 1 else ""
        return Gate(label, "speed", Verdict.UNSTABLE, f"{reason}; {doubts[0]}{more}")
    if best.ratio is None:
        return Gate(label, "speed", Verdict.UNDECIDED, f"{reason}; there is no ratio to judge")
    return Gate(label, "speed", speed_verdict(best.ratio[1:]), reason)


def _words(best: Sum, times: list[PartTime]) -> str:
    """The sum in words: of which parts, and how often each runs for a sample."""
    parts = " + ".join(
        f"{1000 * seconds:.3g} ms {part.name}{_often(part.calls)}"
        for part, seconds in zip(times, best.seconds, strict=True)
    )
    words = f"best {1000 * best.total:.3g} ms a sample at batch {best.batch} ({parts})"
    if best.ratio is None:
        return words
    ratio, low, high = best.ratio
    return f"{words}, {ratio:.2f} ({low:.2f} to {high:.2f}) times {REFERENCE}"


def _often(calls: float | None) -> str:
    return "" if calls is None or calls == 1 else f" x {calls:.3g}"


def _of_parts(times: list[PartTime], label: str, field: str) -> list[str]:
    """What a part's measurement says of a label and of the reference, with the part's name."""
    return [
        f"{part.name}: {sentence}"
        for part in times
        if part.performance
        for sentence in getattr(part.performance, field)
        if not sentence.startswith(tuple(f"{other}, " for other in _others(part, label)))
    ]


def _others(part: PartTime, label: str) -> set[str]:
    performance: Performance | None = part.performance
    known = {m.label for m in performance.measurements} if performance else set()
    return known - {label, REFERENCE}
