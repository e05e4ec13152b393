"""A run judged against a baseline: paired accuracy, speed beyond the noise, the steps around the
inference, and what changed in versions.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.infer.timing.speed_ratio import LEAST_STARTS, start_medians, two_run_ratio
from portproof.measurement import Boundary, Performance
from portproof.metrics.paired.by_task import Margin, compare_by_task
from portproof.metrics.paired.compare import compare
from portproof.metrics.tasks import Figure
from portproof.reports.over_time.against_record import Change, Judged
from portproof.reports.over_time.freeze import Baseline, read_baseline, versions_of_run
from portproof.reports.over_time.repeated_times import StepTimes, time_steps
from portproof.reports.port.data import RunData, read_run
from portproof.rundir.gates import Gate, best_measured
from portproof.rundir.layout import CLASSIFICATION, REFERENCE, Side
from portproof.verdict import Verdict

#: A run is slower when the whole interval of its speed over the baseline's is under 1 - SLOWER, and
#: as fast when all of it is over 1 - AS_FAST; the same of a step, whose times are coarser. The
#: first keeps equal runs, which differ by a fraction of a percent, from a false alarm.
SLOWER, AS_FAST = 0.01, 0.03
STEP_SLOWER, STEP_AS_FAST = 0.05, 0.15
#: What tells hosts apart, whose times say nothing about each other.
_HOST = ("machine", "processor", "cpus")


def judge_against(run_dir: Path, folder: Path) -> Judged:
    """Judge a finished run against a baseline; :class:`InputError` if they are of different models,
    tasks or samples.
    """
    old, baseline = read_baseline(folder)
    new = read_run(run_dir)
    for name, before, now in (
        ("model", old.model_name, new.model_name),
        ("task", old.settings.task, new.settings.task),
        ("batches", list(old.settings.batches), list(new.settings.batches)),
    ):
        if before != now:
            raise InputError(
                f"the baseline has the {name} {before} and the run has {now}: judge a run of the"
                " same port against it"
            )
    gates = [gate for side in new.files.compared for gate in _side_gates(old, new, side)]
    return Judged(
        model=new.model_name,
        baseline_made=baseline.made,
        gates=[*gates, *_step_gates(old, new, baseline)],
        changes=changes_between(old, new),
        simulated=old.simulated or new.simulated,
    )


def _side_gates(old: RunData, new: RunData, side: Side) -> Iterator[Gate]:
    if side not in old.files.compared:
        progress.warn(f"the baseline has no '{side.label}': it is not judged")
        return
    yield _accuracy(old, new, side)
    yield _speed(old, new, side)


def _accuracy(old: RunData, new: RunData, side: Side) -> Gate:
    """What the same samples became then and now: FAIL where a loss is shown at all, not only one
    over the margin, since a new version is expected to answer as the old one did.
    """
    name = new.files.outcomes(side, new.files.accuracy_batch)
    before, now = old.root / name, new.root / name
    for path in (before, now):
        if not path.is_file():
            return Gate(side.label, "accuracy", None, f"'{path}' is not there")
    if before.read_bytes() == now.read_bytes():
        return Gate(side.label, "accuracy", Verdict.PASS, "every sample has the same outcome")
    with progress.silenced():
        loss = _loss(new, before, now)
    shown = loss.lower is not None and loss.lower > 0 and not loss.doubt
    verdict = Verdict.FAIL if shown else loss.verdict
    return Gate(side.label, "accuracy", verdict, loss.doubt or loss.reason)


class _Loss(NamedTuple):
    """A comparison of two runs: its verdict by the margin, the loss's lower bound at 95 %, words,
    and why there is no ground for a verdict.
    """

    verdict: Verdict
    lower: float | None
    reason: str
    doubt: str | None


def _loss(new: RunData, before: Path, now: Path) -> _Loss:
    truth, settings = new.root / new.settings.labels, new.settings
    if settings.task == CLASSIFICATION:
        top1 = compare(before, now, truth, settings.margin_pp or 1.0)
        low, high = top1.ci95_pp
        reason = (
            f"Top-1 {top1.reference_accuracy:.2%} then, {top1.port_accuracy:.2%} now, difference"
            f" {top1.difference_pp:+.2f} pp ({low:+.2f} to {high:+.2f}), {top1.broken} samples"
            f" broken and {top1.fixed} mended"
        )
        return _Loss(top1.verdict, top1.loss_lower_bound_pp, reason, top1.doubt)
    card = new.card
    margin = Margin(settings.margin_pp, None, card.margin if card else None)
    metric = card.metric if card else None
    found = compare_by_task(before, now, truth, settings.task, metric=metric, margin=margin)
    figure = Figure(found.metric, found.unit)
    reason = (
        f"{found.metric} {figure.text(found.reference_value)} then,"
        f" {figure.text(found.port_value)} now, {found.worse} samples worse and {found.better}"
        " better"
    )
    return _Loss(found.verdict, found.loss_lower_bound, reason, found.doubt)


def _speed(old: RunData, new: RunData, side: Side) -> Gate:
    """The speed at the baseline's best batch. Where the reference was timed in the same alternation
    it is the control: a host that is slower today is slower in both.
    """
    path = new.files.perf(side)
    then, now = (performance_of(data, side) for data in (old, new))
    if then is None or now is None:
        return Gate(side.label, "speed", None, f"'{path}' is not there")
    if wrong := [why for why in now.wrong if why.startswith(f"{side.label}, ")]:
        return Gate(side.label, "speed", Verdict.FAIL, f"wrong answers have no speed: {wrong[0]}")
    boundaries: tuple[Boundary, ...] = ("call", "device")
    for boundary in boundaries:
        best = best_measured(then, side.label, boundary)
        found = best and speed_since(then, now, side.label, best[0], boundary)
        if found:
            break
    else:
        return Gate(side.label, "speed", None, "no batch was timed in both")
    low, high = found.interval
    reason = f"{found.ratio:.3f} ({low:.3f} to {high:.3f}) times the baseline's{found.how}"
    doubt = _no_ground(old, new, then, now)
    if doubt:
        return Gate(side.label, "speed", doubt[0], f"{reason}; {doubt[1]}")
    return Gate(side.label, "speed", verdict_since(low, high), reason)


def performance_of(data: RunData, side: Side) -> Performance | None:
    """The measurement that holds a side's times."""
    holder = data.files.alternated[0] if side in data.files.alternated else side
    return data.performances.get(holder.label)


class Since(NamedTuple):
    """A speed over that of the baseline, its 95 % interval, and how it was formed."""

    ratio: float
    interval: tuple[float, float]
    how: str


def speed_since(
    then: Performance, now: Performance, label: str, batch: int, boundary: Boundary
) -> Since | None:
    """The speed now over that of then; None without times of enough starts."""
    mine = [_starts(p, label, batch, boundary) for p in (then, now)]
    control = [_starts(p, REFERENCE, batch, boundary) for p in (then, now)]
    if not all(mine):
        return None
    how = f" at batch {batch}"
    if all(len(ours) == len(theirs) for ours, theirs in zip(mine, control, strict=True)):
        how += f", over {REFERENCE} in both"
        mine = [
            [own / other for own, other in zip(*pair, strict=True)]
            for pair in zip(mine, control, strict=True)
        ]
    ratio, interval = two_run_ratio(mine[0], mine[1])
    return Since(ratio, interval, how)


def _starts(performance: Performance, label: str, batch: int, boundary: Boundary) -> list[float]:
    """The median seconds of each start of a label; none without enough of them."""
    place = label, batch, boundary
    for m in performance.measurements:
        if (m.label, m.batch, m.boundary) == place and m.valid:
            medians = start_medians(m)
            return medians if len(medians) >= LEAST_STARTS else []
    return []


def _no_ground(
    old: RunData, new: RunData, then: Performance, now: Performance
) -> tuple[Verdict, str] | None:
    """Why the two speeds say nothing about each other."""
    if then.simulated or now.simulated:
        return Verdict.UNDECIDED, "simulated: nothing was measured"
    apart = [n for n in _HOST if then.environment.get(n) != now.environment.get(n)]
    if apart:
        return Verdict.UNDECIDED, f"another host ({listed(apart)}), whose times are not comparable"
    for name, performance in (("the baseline", then), ("this run", now)):
        if performance.status == "unstable":
            return Verdict.UNSTABLE, f"the clock of {name} was unstable: {performance.reasons[0]}"
    return None


def verdict_since(
    low: float, high: float, slower: float = SLOWER, as_fast: float = AS_FAST
) -> Verdict:
    """By the interval of a speed over the baseline's."""
    if high < 1 - slower:
        return Verdict.FAIL
    return Verdict.PASS if low > 1 - as_fast else Verdict.UNDECIDED


def _step_gates(old: RunData, new: RunData, baseline: Baseline) -> Iterator[Gate]:
    """The steps around the inference that both hosts could time."""
    before = {step.name: step for step in baseline.steps}
    hosts = [{n: d.stages[-1].proof.environment.get(n) for n in _HOST} for d in (old, new)]
    for step in time_steps(new) if before and hosts[0] == hosts[1] else ():
        if step.name in before and before[step.name].samples == step.samples:
            yield _step_gate(before[step.name], step)


def _step_gate(before: StepTimes, now: StepTimes) -> Gate:
    ratio, (low, high) = two_run_ratio(before.quotients, now.quotients, confidence=0.99)
    each = 1e3 * statistics.median(now.seconds) / now.samples
    reason = (
        f"{ratio:.2f} ({low:.2f} to {high:.2f}) times the baseline's speed, {each:.3g} ms a sample"
        " by one worker"
    )
    verdict = verdict_since(low, high, STEP_SLOWER, STEP_AS_FAST)
    return Gate("all", now.name, verdict, reason)


def changes_between(old: RunData, new: RunData) -> list[Change]:
    """The versions that are not the same in both."""
    before, now = versions_of_run(old), versions_of_run(new)
    names = sorted(before.keys() | now.keys(), key=str.lower)
    found = (Change(name, before.get(name), now.get(name)) for name in names)
    return [change for change in found if change.before != change.now]
