"""The shell of every bench: up to date or not, the measurement file with its doubts and ratios, and
the sidecar. How the times are taken is a :class:`portproof.infer.timing.protocol.Timer`'s matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import portproof
from portproof import rehearsal
from portproof.core import progress
from portproof.core.arguments import pairs_of
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.infer import vendor
from portproof.infer.runtimes.model_files import card_files, model_files
from portproof.infer.timing.devices.timeline import timeline_of
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.processes.feed import KINDS, Feeding, Kind
from portproof.infer.timing.protocol import Job, Plan, Timer
from portproof.infer.timing.speed_ratio import REVISION, paired_ratio
from portproof.infer.timing.steady import doubts_of
from portproof.infer.timing.subject import Subject, check_labels, configured, parse_subject
from portproof.measurement import (
    Measurement,
    Performance,
    Ratio,
    read_performance,
    write_performance,
    wrong_answers,
)
from portproof.proof.sidecar import environment, versions_of
from portproof.proof.work import Work

if TYPE_CHECKING:
    from portproof.infer.timing.alternating import Alternating
    from portproof.infer.timing.board import Board
    from portproof.infer.timing.by_tool import ByTool
    from portproof.infer.timing.by_trtexec import ByTrtexec

#: The place of a subject's backend that says that trtexec executes its engine.
TRTEXEC = "trtexec"


def bench(
    subjects: Sequence[Subject | str],
    batches: Sequence[int] = (1,),
    *,
    card: str | None = None,
    inputs: Kind | None = None,
    info: str | Path | None = None,
    plan: Plan | None = None,
    devices: Sequence[int] = (),
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    options: Mapping[str, str] | None = None,
    over: Sequence[str] = (),
    out: str | Path | None = None,
) -> Performance:
    """Time subjects (``LABEL=BACKEND:FILE`` or :class:`Subject`) at every batch.

    BACKEND says who executes: a backend in this process, a vendor tool, or trtexec. Backends are
    timed against each other in alternation. ``devices``: the chips of a board, timed together.
    ``inputs`` None: real with an info list, else random. ``over``: the labels that the ratios are
    over; none: the first over each other one.

    With ``out`` the result is written there with its sidecar, and read from there if nothing
    changed since. Raises :class:`InputError` for bad input and :class:`ToolError` if a runtime, a
    tool or a worker process fails.
    """
    job = job_for(
        subjects,
        batches,
        card=card,
        inputs=inputs,
        info=info,
        plan=plan,
        devices=devices,
        over=over,
        common=Subject("", "", "", device, precision, threads, dict(options or {})),
    )
    way = way_of(job.subjects, devices)
    if over and not way.alternates:
        raise InputError(f"--over has no meaning for a bench {way.HOW}: it forms no ratios")
    pairs_of([subject.label for subject in job.subjects], over)
    return run(job, way(job), Path(out) if out is not None else None)


def job_for(
    subjects: Sequence[Subject | str],
    batches: Sequence[int],
    *,
    card: str | None,
    inputs: Kind | None,
    info: str | Path | None,
    common: Subject,
    plan: Plan | None = None,
    devices: Sequence[int] = (),
    over: Sequence[str] = (),
) -> Job:
    """The job that was asked for, with what is ``common`` to all subjects; :class:`InputError` for
    what does not fit and for model files that are not there.
    """
    sides = [parse_subject(s) if isinstance(s, str) else s for s in subjects]
    sides = configured(sides, common)
    check_labels(sides)
    kind = inputs or _usual_inputs(sides, info)
    if kind not in KINDS:
        raise InputError(f"the inputs are '{kind}', one of {', '.join(KINDS)} was expected")
    if info is None and kind == "real":
        raise InputError("real inputs need an info list: give one with --info")
    job = Job(
        tuple(sides),
        tuple(dict.fromkeys(batches)),
        card,
        Feeding(kind, str(info) if info else None, {}),
        plan or way_of(sides, devices).PLAN,
        tuple(devices),
        tuple(over),
    )
    if not job.plan.block_s > 0:
        raise InputError(
            f"a block of {job.plan.block_s:g} s has no end or no call: more than 0 s was expected"
        )
    for subject in sides:
        for batch in job.batches:
            existing_file(subject.model(batch), f"model file of '{subject.label}'")
    return job


def _usual_inputs(subjects: Sequence[Subject], info: str | Path | None) -> Kind:
    """Real inputs where there is an info list and all who execute can read them, else random."""
    if info is None:
        return "random"
    tools = vendor.names()
    own = [
        s.backend
        for s in subjects
        if s.backend == TRTEXEC
        or (s.backend in tools and "real" not in vendor.find(s.backend).INPUTS)
    ]
    if own:
        progress.say(f"bench: {own[0]} makes random inputs itself, '{info}' is not read")
    return "random" if own else "real"


def way_of(
    subjects: Sequence[Subject], devices: Sequence[int] = ()
) -> type[Alternating] | type[Board] | type[ByTool] | type[ByTrtexec]:
    """How subjects are timed, as their backends say; all must be timed in one way."""
    tools = vendor.names()
    ways = {
        "trtexec" if s.backend == TRTEXEC else "a vendor tool" if s.backend in tools else "backends"
        for s in subjects
    }
    if len(ways) > 1:
        raise InputError(
            f"{' and '.join(sorted(ways))} cannot be timed in one bench, since they do not take"
            " turns: give each a bench of its own"
        )
    if devices:
        from portproof.infer.timing.board import Board

        return Board
    if "trtexec" in ways:
        from portproof.infer.timing.by_trtexec import ByTrtexec

        return ByTrtexec
    if "a vendor tool" in ways:
        from portproof.infer.timing.by_tool import ByTool

        return ByTool
    from portproof.infer.timing.alternating import Alternating

    return Alternating


def plan_for(subjects: Sequence[str], devices: Sequence[int], **given: Any) -> Plan:
    """The plan of the way in which subjects are timed, changed by what was given; None is not
    given. :class:`InputError` for what has no meaning there.
    """
    way = way_of([parse_subject(s) for s in subjects], devices)
    changes = {name: value for name, value in given.items() if value is not None}
    unknown = sorted(set(changes) - set(way.TAKES))
    if unknown:
        flag = unknown[0].replace("block_s", "block-seconds").replace("_", "-")
        raise InputError(f"--{flag} has no meaning for a bench {way.HOW}; leave it out")
    return changed(way.PLAN, changes)


def changed(plan: Plan, changes: dict[str, Any]) -> Plan:
    """The plan with what was given in its place; :class:`InputError` for more starts than
    blocks.
    """
    starts, blocks = changes.get("starts"), changes.get("blocks")
    if starts and blocks and starts > blocks:
        raise InputError(
            f"--starts is {starts} and --blocks {blocks}: every start has a block, so give at least"
            " as many blocks, or none"
        )
    if starts and not blocks:
        changes = {**changes, "blocks": max(plan.blocks, starts)}
    return replace(plan, **changes)


def run(job: Job, timer: Timer, out: Path | None) -> Performance:
    """Time a job and write ``out`` with its sidecar; read it if it is up to date."""
    if out is None:
        if timer.keeps_logs:
            raise InputError("this bench keeps the tool's logs beside its file: give one with out=")
        return _measured(job, timer, Path())
    parameters = {"plan": job.plan, **timer.parameters}
    work = work_of("bench", job, out, parameters, timer.packages, revision=REVISION)
    if work.is_done():
        return read_performance(out)
    work.begin()
    performance = _measured(job, timer, out.absolute().parent)
    write_performance(out, performance)
    work.finish(
        [out], {name: getattr(performance, name) for name in ("status", "reasons", "wrong")}
    )
    return performance


def work_of(
    stage: str,
    job: Job,
    out: Path,
    parameters: Mapping[str, Any],
    packages: Sequence[str],
    *,
    revision: int = 1,
) -> Work:
    """What decides the measurement, for the sidecar: the job, ``parameters`` and ``packages``."""
    models = dict.fromkeys(
        path for s in job.subjects for b in job.batches for path in model_files(s.model(b))
    )
    info = [existing_file(job.feeding.info, "info list")] if job.feeding.info else []
    return Work(
        stage,
        out,
        inputs={"model": list(models), **card_files(job.card), "info": info},
        parameters={
            "subjects": job.subjects,
            "batches": job.batches,
            "card": job.card,
            "inputs": job.feeding.kind,
            **({"over": job.over} if job.over else {}),
            "host": {key: environment()[key] for key in ("machine", "processor", "cpus")},
            **parameters,
        },
        packages=packages,
        revision=revision,
        simulated=rehearsal.is_active(),
    )


def _measured(job: Job, timer: Timer, folder: Path) -> Performance:
    """All batches, with the doubts about them, and the ratios."""
    performance = Performance(
        measurements=[], environment=environment(), simulated=rehearsal.is_active()
    )
    packages = versions_of(timer.packages)
    performance.versions = {"portproof": portproof.__version__, **packages, **timer.versions}
    devices = Devices(timer.devices)
    with (
        progress.meter("bench", timer.blocks * len(job.batches), "blocks") as meter,
        contextlib.closing(timer.measure(devices, folder, meter)) as batches,
        timeline_of(devices.sources()) as performance.timeline,
    ):
        for measurements, doubts in batches:
            performance.measurements += measurements
            performance.reasons += doubts
    performance.reasons += [why for m in performance.measurements for why in doubts_of(m)]
    performance.wrong = wrong_answers(performance.measurements)
    if timer.alternates:
        performance.ratios = _ratios(job, performance.measurements)
    performance.status = "unstable" if performance.reasons else "ok"
    return performance


def _ratios(job: Job, measurements: Sequence[Measurement]) -> list[Ratio]:
    """The ratios of all pairs that are asked for, where both answered right."""
    right = [m for m in measurements if not m.is_wrong]
    return [
        paired_ratio(a, b)
        for pair in pairs_of([s.label for s in job.subjects], job.over)
        for a in right
        for b in right
        if (a.label, b.label) == pair and (a.batch, a.boundary) == (b.batch, b.boundary)
    ]
