"""``modelzoo_level.txt``: ModelZoo's statuses of a port, each from what its run directory holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from portproof.measurement import Performance
from portproof.reports.port.data import RunData
from portproof.reports.port.figures import per_board
from portproof.rundir.gates import best_measured
from portproof.rundir.layout import REFERENCE, Side
from portproof.rundir.parts.sums import part_rows
from portproof.verdict import Verdict

OK, PARTLY, NOT_OK, PERFECT = "OK", "POK", "NOK", "PERFECT"
#: PerfStatus by the ratio of the port's best rate to that of what it replaces.
_LEVELS = ((1.2, PERFECT), (1.0, OK), (0.5, PARTLY))


@dataclass(frozen=True)
class Status:
    """A line of the file, and why it says so. ``value`` is None where nothing was measured: the
    line is left out then, since a status that nobody measured is no status.
    """

    key: str
    value: str | None
    why: str


def statuses(data: RunData, label: str | None = None) -> list[Status]:
    """The statuses of a side (default: the first that is compared), in ModelZoo's order."""
    side = data.files.side(label) if label else data.files.compared[0]
    return [_convert(data, side), _quant(data), *_judged(data, side)]


def level_text(found: list[Status]) -> str:
    """The file: ``key:value`` lines, no blanks."""
    return "".join(f"{s.key}:{s.value}\n" for s in found if s.value)


def _convert(data: RunData, side: Side) -> Status:
    exported = any(stage.proof.stage == "export" for stage in data.stages)
    made = exported and bool(_results(data, side.label))
    return Status("ModelConvert", OK if made else NOT_OK, "the model was exported, and ran")


def _results(data: RunData, label: str) -> bool:
    return bool(data.results.get(label) or data.evaluations.get(label))


def _quant(data: RunData) -> Status:
    """OK: int8 lost at most the margin and is faster than the same backend's fp32."""
    reduced = [s for s in data.files.compared if s.target and s.target.precision == "int8"]
    if reduced and data.settings.parts:
        return Status(
            "QuantStatus", None, "of several models, the parts' int8 has no ratio to fp32"
        )
    if not reduced:
        return Status("QuantStatus", None, "int8 is no column of this port")
    label = reduced[0].label
    kept = _verdict(data, label) is Verdict.PASS
    performance = _performance(data, label)
    ratios = [r for r in performance.ratios if r.a == label and r.b != REFERENCE and r.ci95]
    if kept and performance.status != "ok":
        return Status("QuantStatus", None, f"{label}: accuracy kept, but the clock was UNSTABLE")
    faster = any(r.ci95 and r.ci95[0] > 1 for r in ratios)
    why = f"{label}: accuracy {'kept' if kept else 'not proved'}, {'' if faster else 'not '}faster"
    return Status("QuantStatus", OK if kept and faster else NOT_OK, why)


def _judged(data: RunData, side: Side) -> Iterator[Status]:
    ran = _results(data, side.label)
    yield Status("FuncStatus", OK if ran else NOT_OK, "every sample was inferred and judged")
    verdict = None if data.simulated else _verdict(data, side.label)
    why = f"the accuracy gate says {verdict or 'nothing'}"
    yield Status("PrecisionStatus", OK if verdict is Verdict.PASS else NOT_OK, why)
    tuned = any(s.tuned for s in data.files.timed)
    why = "operators were tuned" if tuned else "no operators were tuned (--tune)"
    yield Status("AutoTune", OK if tuned and not data.simulated else None, why)
    yield _perf(data, side)


def _perf(data: RunData, side: Side) -> Status:
    """The port's best rate over that of the reference timed in alternation, or over the best of
    another device; a card's own, of all its chips.
    """
    if data.simulated:
        return Status("PerfStatus", NOT_OK, "a rehearsal: nothing was measured")
    if data.settings.parts:
        return _perf_of_parts(data, side)
    own = _best(data, side.label)
    others = [s.label for s in data.files.compared if s.name != side.name]
    against = REFERENCE if side.is_in_alternation else next(iter(others), None)
    other = _best(data, against) if against else None
    if own is None or other is None:
        why = "no other device was timed in this run directory: add its target to the port"
        return Status("PerfStatus", None, why)
    ratio = own / other
    level = _level(ratio)
    why = f"{own:.4g} images/s, {ratio:.2f} times those of {against}"
    if _performance(data, side.label).status != "ok":
        return Status("PerfStatus", None, f"{why}, but the clock was UNSTABLE")
    return Status("PerfStatus", level, why)


def _level(ratio: float) -> str:
    return next((name for least, name in _LEVELS if ratio >= least), NOT_OK)


def _perf_of_parts(data: RunData, side: Side) -> Status:
    """The sum of the parts' times against the reference's."""
    row = next((r for r in part_rows(data.files) if r.label == side.label and not r.part), None)
    speed = next(g for g in data.judgement.gates if (g.label, g.name) == (side.label, "speed"))
    if row is None or row.ratio is None:
        return Status("PerfStatus", None, "the parts were not timed against a reference")
    why = f"all parts together are {row.ratio[0]:.2f} times as fast as {REFERENCE}"
    if speed.verdict is Verdict.UNSTABLE:
        return Status("PerfStatus", None, f"{why}, but the clock was UNSTABLE")
    return Status("PerfStatus", _level(row.ratio[0]), why)


def _performance(data: RunData, label: str) -> Performance:
    """The measurement that holds a side: of several in one alternation, the first one's."""
    side = data.files.side(label)
    holder = data.files.alternated[0] if side in data.files.alternated else side
    return data.performances[holder.label]


def _best(data: RunData, label: str) -> float | None:
    """The highest rate of a label, of a board where it has several chips."""
    if label == REFERENCE:
        first = data.files.alternated[:1]
        best = best_measured(_performance(data, first[0].label), label) if first else None
        return best[1] if best else None
    boards = per_board(data, label) if label in data.performances else []
    if boards:
        return max(rate * chips for _, rate, chips in boards)
    performance = _performance(data, label)
    best = best_measured(performance, label, "device") or best_measured(performance, label)
    return best[1] if best else None


def _verdict(data: RunData, label: str) -> Verdict | None:
    gates = data.judgement.gates
    return next((g.verdict for g in gates if (g.label, g.name) == (label, "accuracy")), None)
