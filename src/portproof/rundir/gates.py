"""The verdict of a port: its gates, each derived from the files of the run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_TOOL, EXIT_UNDECIDED
from portproof.measurement import Boundary, Performance, Ratio, read_performance
from portproof.policy import POLICIES
from portproof.rundir.plan import REFERENCE, is_offline, label_of
from portproof.rundir.settings import Settings
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
        rows = [
            f"{g.label:<6} {g.name:<9} {g.verdict or 'not judged':<10} {g.reason}"
            for g in self.gates
        ]
        return "\n".join([*rows, f"verdict: {self.word}"])


def judge(run_dir: Path, settings: Settings, failed: bool = False) -> Judgement:
    """Judge a run directory by the gates that its settings name. ``failed``: a tool or a device
    failed on the way.
    """
    labels = [label_of(t) for t in settings.targets]
    gates = []
    for target, label in zip(settings.targets, labels, strict=True):
        compared = run_dir / ("compare.json" if label == labels[0] else f"{label}/compare.json")
        gates.append(accuracy_gate(label, compared))
        perf = run_dir / label / "perf.json"
        gates.append(
            device_speed_gate(label, perf) if is_offline(target) else speed_gate(label, perf)
        )
    deciding = [g for g in gates if settings.gate in ("all", g.name)]
    codes = [EXIT_TOOL if g.verdict is None else g.verdict.exit_code for g in deciding] + (
        [EXIT_TOOL] if failed else []
    )
    return Judgement(gates, next(code for code in SEVERITY if code in (codes or [EXIT_DONE])))


def accuracy_gate(label: str, compared: Path) -> Gate:
    """Whether the port may have lost accuracy, from ``compare.json``."""
    if not compared.is_file():
        return Gate(label, "accuracy", None, "there is no comparison")
    found: dict[str, Any] = msgspec.json.decode(compared.read_bytes())
    reason = (
        f"{found['port_accuracy']:.2%} against {found['reference_accuracy']:.2%}, difference"
        f" {found['difference_pp']:+.2f} pp over {found['samples']} samples; the loss is under"
        f" {found['gate_bound_pp']:.2f} pp (95 %), {found['margin_pp']:g} pp is allowed"
    )
    return Gate(label, "accuracy", Verdict(found["verdict"]), reason)


def speed_gate(label: str, perf: Path) -> Gate:
    """Whether the port is at least as fast as the reference at the port's best batch, from
    ``perf.json``.
    """
    if not perf.is_file():
        return Gate(label, "speed", None, "there is no measurement")
    performance = read_performance(perf)
    best = best_measured(performance, label)
    ratio = next((r for r in performance.ratios if best and _is_between(r, label, best[0])), None)
    if best is None or ratio is None:
        return Gate(label, "speed", None, "the measurement holds no ratio to the reference")
    interval = "" if ratio.ci95 is None else f" ({ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"
    reason = (
        f"best {best[1]:.1f} images/s at batch {best[0]}, {ratio.ratio:.2f}{interval} times"
        f" {REFERENCE}"
    )
    if performance.status == "unstable":
        return Gate(label, "speed", Verdict.UNSTABLE, f"{reason}; {_doubts(performance, perf)}")
    return Gate(label, "speed", _speed_verdict(ratio), reason)


def device_speed_gate(label: str, perf: Path) -> Gate:
    """A device is timed alone: its host's processor, which ran the reference, is no measure for it.
    What is, other devices, were timed elsewhere.
    """
    if not perf.is_file():
        return Gate(label, "speed", None, "there is no measurement")
    performance = read_performance(perf)
    best = best_measured(performance, label, "device") or best_measured(performance, label)
    reached = (
        f"best {best[1]:.1f} images/s a chip at batch {best[0]}" if best else "no rate was measured"
    )
    if performance.simulated:
        return Gate(
            label, "speed", Verdict.UNDECIDED, f"{reached}, simulated: nothing was measured"
        )
    if performance.status == "unstable":
        return Gate(label, "speed", Verdict.UNSTABLE, f"{reached}; {_doubts(performance, perf)}")
    policy = next(
        (f" --policy {name}" for name, rules in POLICIES.items() if rules[0].subject == label), ""
    )
    how = f"portproof table {label}={label}/perf.json OTHER=LOGS{policy}"
    return Gate(
        label,
        "speed",
        Verdict.UNDECIDED,
        f"{reached}; a device is judged against the logs of others: {how}",
    )


def _doubts(performance: Performance, perf: Path) -> str:
    """The first reason why the clock cannot be trusted, and how many more there are."""
    more = (
        f" (and {len(performance.reasons) - 1} more, in {perf.parent.name}/{perf.name})"
        if len(performance.reasons) > 1
        else ""
    )
    return f"{''.join(performance.reasons[:1])}{more}"


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


def _is_between(ratio: Ratio, label: str, batch: int) -> bool:
    return (ratio.a, ratio.b, ratio.batch, ratio.boundary) == (label, REFERENCE, batch, "call")


def _speed_verdict(ratio: Ratio) -> Verdict:
    if ratio.ci95 is None:
        return Verdict.UNDECIDED
    low, high = ratio.ci95
    if low >= 1:
        return Verdict.PASS
    return Verdict.FAIL if high < 1 else Verdict.UNDECIDED
