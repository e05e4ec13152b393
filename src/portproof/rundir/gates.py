"""The verdict of a port: its gates, each derived from the files of the run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portproof.core import plugins
from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_TOOL, EXIT_UNDECIDED
from portproof.measurement import WIDENED, Boundary, Performance, Ratio, read_performance
from portproof.policy import policy_about
from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.plan import task_of
from portproof.verdict import Verdict

#: From the worst to the best: a failed tool, a failed verdict, an undecided one, done.
SEVERITY = (EXIT_TOOL, EXIT_FAIL, EXIT_UNDECIDED, EXIT_DONE)


@dataclass(frozen=True)
class Gate:
    """One judged question: of which label, what was asked, the verdict (None: not judged, since its
    files are not there), and why.
    """

    label: str
    name: str
    verdict: Verdict | None
    reason: str


@dataclass(frozen=True)
class Judgement:
    """All gates, and what the process leaves with."""

    gates: list[Gate]
    exit_code: int

    @property
    def word(self) -> str:
        """One word for the whole port."""
        return {EXIT_DONE: "PASS", EXIT_FAIL: "FAIL", EXIT_UNDECIDED: "UNDECIDED"}.get(
            self.exit_code, "NOT FINISHED"
        )

    @property
    def text(self) -> str:
        """The gates and the verdict, a line each."""
        width = max((6, *(len(g.label) for g in self.gates)))
        rows = [
            f"{g.label:<{width}} {g.name:<9} {g.verdict or 'not judged':<10} {g.reason}"
            for g in self.gates
        ]
        return "\n".join([*rows, f"verdict: {self.word}"])


def judge(run: RunDir, failed: bool = False) -> Judgement:
    """Judge a run directory by its settings. ``failed``: a tool or a device failed."""
    gates = []
    for side in run.compared:
        speed = speed_gate if side.is_in_alternation else device_speed_gate
        if run.settings.parts:
            speed = plugins.load("portproof.rundir.parts", "speed", "gate").speed_gate
        gates += [task_of(run).gate(run, side), speed(run, side)]
    deciding = [g for g in gates if run.settings.gate in ("all", g.name)]
    codes = [EXIT_TOOL if g.verdict is None else g.verdict.exit_code for g in deciding]
    codes += [EXIT_TOOL] if failed else []
    return Judgement(gates, worst(codes))


def worst(codes: Sequence[int]) -> int:
    """The most severe of exit codes; 0 for none."""
    return next(code for code in SEVERITY if code in (codes or [EXIT_DONE]))


def speed_gate(run: RunDir, side: Side) -> Gate:
    """Whether the port is at least as fast as the reference at the port's best batch, and both
    answer right at every batch.
    """
    label, perf = side.label, run.root / run.perf(side)
    if not perf.is_file():
        return Gate(label, "speed", None, "there is no measurement")
    performance = read_performance(perf)
    if wrong := _wrong(_about(performance, performance.wrong, label), run.perf(side)):
        return Gate(label, "speed", Verdict.FAIL, wrong)
    best = best_measured(performance, label)
    ratio = next((r for r in performance.ratios if best and _is_between(r, label, best[0])), None)
    if best is None or ratio is None:
        return Gate(label, "speed", None, "the measurement holds no ratio to the reference")
    interval = "" if ratio.ci95 is None else f" ({ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"
    reason = (
        f"best {best[1]:.1f} images/s at batch {best[0]}, {ratio.ratio:.2f}{interval} times"
        f" {REFERENCE}{_widened(performance, label)}"
    )
    if doubts := _about(performance, performance.reasons, label):
        reason = f"{reason}; {_doubts(doubts, run.perf(side))}"
        return Gate(label, "speed", Verdict.UNSTABLE, reason)
    return Gate(label, "speed", speed_verdict(ratio.ci95), reason)


def device_speed_gate(run: RunDir, side: Side) -> Gate:
    """A device is timed alone: the processor of its host, which ran the reference, cannot be
    compared with it. Other devices can; they were timed on other hosts.
    """
    label, perf = side.label, run.root / run.perf(side)
    if not perf.is_file():
        return Gate(label, "speed", None, "there is no measurement")
    performance = read_performance(perf)
    if wrong := _wrong(performance.wrong, run.perf(side)):
        return Gate(label, "speed", Verdict.FAIL, wrong)
    best = best_measured(performance, label, "device") or best_measured(performance, label)
    reached = "no rate was measured"
    if best:
        reached = f"best {best[1]:.1f} images/s a chip at batch {best[0]}"
    if performance.simulated:
        reason = f"{reached}, simulated: nothing was measured"
        return Gate(label, "speed", Verdict.UNDECIDED, reason)
    if performance.status == "unstable":
        reason = f"{reached}; {_doubts(performance.reasons, run.perf(side))}"
        return Gate(label, "speed", Verdict.UNSTABLE, reason)
    policy = policy_about(side.name)
    how = f"portproof table {label}={run.perf(side)} OTHER=LOGS"
    how += f" --policy {policy}" if policy else ""
    reason = f"{reached}; a device is judged against the logs of others: {how}"
    return Gate(label, "speed", Verdict.UNDECIDED, reason)


def _wrong(wrong: list[str], perf: str) -> str | None:
    """The first of the wrong answers, which have no speed, and how many more there are."""
    if not wrong:
        return None
    more = len(wrong) - 1
    also = f" (and {more} more, in {perf})" if more else ""
    return f"wrong answers have no speed: {wrong[0]}{also}"


def _about(performance: Performance, sentences: list[str], label: str) -> list[str]:
    """The sentences that concern a label: those about others timed in the same alternation, but
    not the reference, do not. A sentence begins with the label that it is about.
    """
    others = {m.label for m in performance.measurements} - {label, REFERENCE}
    return [s for s in sentences if not s.startswith(tuple(f"{other}, " for other in others))]


def _doubts(reasons: list[str], perf: str) -> str:
    """The first reason why the clock cannot be trusted, and how many more there are."""
    more = len(reasons) - 1
    return "".join(reasons[:1]) + (f" (and {more} more, in {perf})" if more > 0 else "")


def best_measured(
    performance: Performance, label: str, boundary: Boundary = "call"
) -> tuple[int, float] | None:
    """The batch with the label's highest rate at a boundary, and that rate in images per second."""
    rates = [
        (m.batch, m.images_per_second)
        for m in performance.measurements
        if m.label == label and m.boundary == boundary
    ]
    measured = [(batch, rate) for batch, rate in rates if rate is not None]
    return max(measured, key=lambda pair: pair[1], default=None)


def _widened(performance: Performance, label: str) -> str:
    widened = any(m.is_widened for m in performance.measurements if m.label == label)
    return f" ({WIDENED})" if widened else ""


def _is_between(ratio: Ratio, label: str, batch: int) -> bool:
    return (ratio.a, ratio.b, ratio.batch, ratio.boundary) == (label, REFERENCE, batch, "call")


def speed_verdict(ci95: tuple[float, float] | None) -> Verdict:
    """The verdict on a ratio to the reference, by its interval."""
    if ci95 is None:
        return Verdict.UNDECIDED
    low, high = ci95
    if low >= 1:
        return Verdict.PASS
    return Verdict.FAIL if high < 1 else Verdict.UNDECIDED
