"""Timing several subjects in alternating blocks, each in worker processes of its own.

For every batch all subjects are loaded and warmed up; then they take turns, block by block, in an
order that is turned round every time, so that neither a drift of the machine nor the order favours
one. Nothing is discarded: what is not counted (warm-up, first calls) is kept apart, and a run whose
clock cannot be trusted comes back as ``unstable`` with the reasons.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portproof
from portproof import rehearsal
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.infer.runtimes.model_files import card_files, model_files, packages, sample_shapes
from portproof.infer.timing.clock import Times
from portproof.infer.timing.devices.watch import Devices, Watch, device_counters, device_doubts
from portproof.infer.timing.feed import KINDS, Feeding, Kind
from portproof.infer.timing.steady import reasons
from portproof.infer.timing.subject import Subject, check_subjects, configured, parse_subject
from portproof.infer.timing.workers.child import Block, Loaded, Warm
from portproof.infer.timing.workers.counters import host_doubts, summary
from portproof.infer.timing.workers.parent import Side
from portproof.measurement import (
    Boundary,
    Measurement,
    Performance,
    paired_ratio,
    read_performance,
    write_performance,
)
from portproof.proof.sidecar import environment, versions_of
from portproof.proof.work import Work

BLOCKS = 10
BLOCK_S = 0.1
#: Calls of a block at most: a model of microseconds would fill the file with millions of figures.
MOST_CALLS = 2000


@dataclass(frozen=True, slots=True)
class Plan:
    """How long: blocks a subject and batch, seconds that a block should last, or counted calls in
    all; warm-up calls; clients.
    """

    blocks: int = BLOCKS
    block_s: float = BLOCK_S
    iterations: int | None = None
    warmup: int | None = None
    clients: int = 1

    def calls(self, call_s: float) -> list[int]:
        """Counted calls of each block, for a client whose call takes so long."""
        if self.iterations is None:
            return [
                min(MOST_CALLS, max(1, math.ceil(self.block_s / max(call_s, 1e-6))))
            ] * self.blocks
        blocks = min(self.blocks, self.iterations)
        return [self.iterations // blocks + (i < self.iterations % blocks) for i in range(blocks)]


def bench(
    subjects: Sequence[Subject | str],
    batches: Sequence[int] = (1,),
    *,
    card: str | None = None,
    inputs: Kind = "random",
    info: str | Path | None = None,
    plan: Plan | None = None,
    device: str | None = None,
    precision: str | None = None,
    threads: int | None = None,
    options: Mapping[str, str] | None = None,
    out: str | Path | None = None,
) -> Performance:
    """Time subjects (``LABEL=BACKEND:FILE`` or :class:`Subject`) against each other at every batch.

    With ``out`` the result is written there with its sidecar, and read from there when nothing
    changed since. Raises :class:`InputError` for bad input and :class:`ToolError` when a runtime or
    a worker process fails.
    """
    plan = plan or Plan()
    common = Subject("", "", "", device, precision, threads, dict(options or {}))
    sides = configured([parse_subject(s) if isinstance(s, str) else s for s in subjects], common)
    check_subjects(sides, batches)
    if inputs not in KINDS:
        raise InputError(f"the inputs are '{inputs}', one of {', '.join(KINDS)} was expected")
    if info is None and inputs == "real":
        raise InputError("real inputs need an info list: give one with --info")
    job = _Job(
        sides,
        tuple(dict.fromkeys(batches)),
        card,
        Feeding(inputs, str(info) if info else None, {}),
        plan,
    )
    if out is None:
        return job.measure()
    work = job.work(Path(out))
    if work.is_done():
        return read_performance(out)
    work.begin()
    performance = job.measure()
    write_performance(out, performance)
    work.finish([Path(out)], {"status": performance.status, "reasons": performance.reasons})
    return performance


@dataclass(frozen=True, slots=True)
class _Job:
    """One bench."""

    subjects: list[Subject]
    batches: tuple[int, ...]
    card: str | None
    feeding: Feeding
    plan: Plan

    def work(self, out: Path) -> Work:
        """What decides the measurement, for the sidecar."""
        models = dict.fromkeys(
            p for s in self.subjects for b in self.batches for p in model_files(s.model(b))
        )
        info = [existing_file(self.feeding.info, "info list")] if self.feeding.info else []
        return Work(
            "bench",
            out,
            inputs={"model": list(models), **card_files(self.card), "info": info},
            parameters={
                "subjects": self.subjects,
                "batches": self.batches,
                "card": self.card,
                "inputs": self.feeding.kind,
                "plan": self.plan,
                "host": {key: environment()[key] for key in ("machine", "processor", "cpus")},
            },
            packages=self._packages(),
            simulated=rehearsal.is_active(),
        )

    def _packages(self) -> tuple[str, ...]:
        return tuple(sorted({p for s in self.subjects for p in packages(s.backend, self.card)}))

    def measure(self) -> Performance:
        """All batches, and the ratios of the first subject over each other one."""
        for subject in self.subjects:
            for batch in self.batches:
                existing_file(subject.model(batch), f"model file of '{subject.label}'")
        feeding = Feeding(self.feeding.kind, self.feeding.info, sample_shapes(self.card))
        performance = Performance(
            measurements=[], environment=environment(), simulated=rehearsal.is_active()
        )
        performance.versions = {"portproof": portproof.__version__, **versions_of(self._packages())}
        total = len(self.batches) * len(self.subjects) * self.plan.blocks
        devices = Devices(s.device for s in self.subjects)
        with (
            _sides(self.subjects, self.plan.clients) as sides,
            progress.meter("bench", total, "blocks") as meter,
        ):
            for batch in self.batches:
                found, doubts = _Contest(self, sides, batch, feeding).run(devices, meter)
                performance.measurements += found
                performance.reasons += doubts
        performance.reasons += [why for m in performance.measurements for why in reasons(m)]
        performance.ratios = [
            paired_ratio(a, b)
            for a in performance.measurements
            for b in performance.measurements
            if a.label == self.subjects[0].label
            and b.label != a.label
            and (a.batch, a.boundary) == (b.batch, b.boundary)
        ]
        performance.status = "unstable" if performance.reasons else "ok"
        return performance


@contextlib.contextmanager
def _sides(subjects: Sequence[Subject], clients: int) -> Iterator[list[Side]]:
    """The worker processes of all subjects, ended whatever happens."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Side(s.label, clients))) for s in subjects]


class _Contest:
    """All subjects at one batch."""

    def __init__(self, job: _Job, sides: list[Side], batch: int, feeding: Feeding) -> None:
        self._job, self._sides, self._batch, self._feeding = job, sides, batch, feeding
        self._doubts: list[str] = []

    def run(self, devices: Devices, meter: progress.Meter) -> tuple[list[Measurement], list[str]]:
        """The measurements, and what casts doubt on them beside the times themselves."""
        loaded = [
            self._load(subject, side)
            for subject, side in zip(self._job.subjects, self._sides, strict=True)
        ]
        warm = [
            self._warm_up(subject, side)
            for subject, side in zip(self._job.subjects, self._sides, strict=True)
        ]
        watches = [devices.watch(answers[0].device) for answers in loaded]
        calls = [self._job.plan.calls(max(w.call_s for w in answers)) for answers in warm]
        blocks: list[list[list[Block]]] = [[] for _ in self._sides]
        for number in range(max(len(c) for c in calls)):
            for index in turns(len(self._sides), number):
                with watches[index].block():
                    blocks[index].append(self._sides[index].ask("block", calls[index][number]))
                meter.advance()
        for side in self._sides:
            side.ask("unload")
        counters = [
            self._counters(*sides)
            for sides in zip(self._job.subjects, loaded, blocks, watches, strict=True)
        ]
        measurements = [
            m
            for i in range(len(self._sides))
            for m in self._measurements(i, loaded[i], warm[i], blocks[i], counters[i])
        ]
        return measurements, self._doubts

    def _load(self, subject: Subject, side: Side) -> list[Loaded]:
        return side.ask(
            "load",
            subject.backend,
            str(subject.model(self._batch)),
            subject.request(self._batch, self._job.card),
            self._feeding,
        )

    def _warm_up(self, subject: Subject, side: Side) -> list[Warm]:
        answers: list[Warm] = side.ask("warm_up", self._job.plan.warmup)
        if any(w.settled is False for w in answers):
            self._doubts.append(
                f"{subject.label}, batch {self._batch}: calls were still becoming faster when the"
                " warm-up ended"
            )
        return answers

    def _measurements(
        self,
        index: int,
        loaded: list[Loaded],
        warm: list[Warm],
        blocks: list[list[Block]],
        counters: dict[str, Any],
    ) -> Iterator[Measurement]:
        """One measurement a timing boundary that the backend knows."""
        subject, first = self._job.subjects[index], loaded[0]
        if not all(b.rested for block in blocks for b in block):
            self._doubts.append(
                f"{subject.label}, batch {self._batch}: its threads used the processor while others"
                " were timed"
            )
        for boundary in first.boundaries:
            yield Measurement(
                label=subject.label,
                model=str(subject.model(self._batch)),
                backend=subject.backend,
                batch=self._batch,
                boundary=boundary,
                precision=first.precision,
                clients=self._job.plan.clients,
                inputs=self._feeding.kind,
                blocks=[_joined([b.times for b in block], boundary) for block in blocks],
                first_calls=[
                    s for block in blocks for s in _joined([b.first for b in block], boundary)
                ],
                warmup=[_rounded(s) for w in warm for s in w.calls] if boundary == "call" else [],
                load_s=first.load_s,
                first_inference_s=first.first_inference_s,
                device=first.device,
                provider=first.provider,
                threads=subject.threads,
                options=dict(subject.options),
                simulated=rehearsal.is_active(),
                counters=counters,
            )

    def _counters(
        self, subject: Subject, loaded: list[Loaded], blocks: list[list[Block]], watch: Watch
    ) -> dict[str, Any]:
        """The host's and the device's counters of one subject; its clients' memory together. Null
        is what was not measured.
        """
        found = summary([[b.usage for b in block] for block in blocks])
        before = [x.memory_before_bytes for x in loaded if x.memory_before_bytes is not None]
        found["memory_before_bytes"] = sum(before) if len(before) == len(loaded) else None
        found["memory_peak_bytes"] = sum(b.memory_peak_bytes for b in blocks[-1])
        workers = [worker.pid for side in self._sides for worker in side.workers]
        self._doubts += [
            f"{subject.label}, batch {self._batch}: {why}"
            for why in (*host_doubts(found), *device_doubts(watch, workers))
        ]
        images = self._batch * sum(len(b.times["call"]) + 1 for block in blocks for b in block)
        return found | device_counters(
            watch, sum(max(b.usage.wall_s for b in block) for block in blocks), images, workers
        )


def turns(count: int, number: int) -> list[int]:
    """The order of the subjects in round ``number``: the first place goes round, and every other
    round runs backwards.

    >>> [turns(2, n) for n in range(4)], [turns(3, n) for n in range(3)]
    ([[0, 1], [1, 0], [0, 1], [1, 0]], [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
    """
    shift = number // 2 % count
    order = [(i + shift) % count for i in range(count)] if count > 2 else list(range(count))
    return order[::-1] if number % 2 else order


def _joined(times: Sequence[Times], boundary: Boundary) -> list[float]:
    """The calls of all clients, client by client."""
    return [_rounded(s) for t in times for s in t[boundary]]


def _rounded(seconds: float) -> float:
    """To the nanosecond, which is all that the clock has."""
    return round(seconds, 9)
