"""Timing several subjects in alternating blocks, each in worker processes of its own.

The processes are started anew several times, since each keeps an offset for as long as it lives. In
every start, for every batch, all subjects are loaded and warmed up; then they take turns, block by
block, in an order that is reversed every time, so that neither a drift of the machine nor the order
favours one. Nothing is discarded: what is not counted (warm-up, first calls) is kept apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from portproof import backend as backends
from portproof.core.arguments import pairs_of
from portproof.core.progress import Meter
from portproof.infer.runtimes.model_files import packages
from portproof.infer.timing.answers.hearing import Hearing
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.processes.child import Loaded, Warm
from portproof.infer.timing.processes.parent import Worker, ask, workers_of
from portproof.infer.timing.processes.teams import Team, load, take_turns
from portproof.infer.timing.protocol import MOST_STARTS, Job, Plan, Timed, observed, shares
from portproof.infer.timing.speed_ratio import paired_ratio
from portproof.measurement import Measurement


class Alternating:
    """A :class:`portproof.infer.timing.protocol.Timer` of backends."""

    HOW: ClassVar = "by backends"
    PLAN: ClassVar = Plan()
    TAKES: ClassVar = (
        "blocks",
        "block_s",
        "iterations",
        "warmup",
        "clients",
        "starts",
        "until_ci",
    )
    alternates, keeps_logs = True, False

    def __init__(self, job: Job) -> None:
        for subject in job.subjects:
            for batch in job.batches:
                backends.check_suffix(subject.backend, subject.model(batch))
        self.job = job
        self.parameters: Mapping[str, Any] = {}
        self.packages = sorted({p for s in job.subjects for p in packages(s.backend, job.card)})
        self.versions: Mapping[str, str] = {}
        self.devices = [s.device for s in job.subjects]
        self.blocks = len(job.subjects) * job.plan.blocks
        self._starts = job.plan.started(len(job.subjects))
        labels = [s.label for s in job.subjects]
        self._pairs = [(labels.index(a), labels.index(b)) for a, b in pairs_of(labels, job.over)]

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """All subjects at each batch in every start. Whether they answered right is known, and
        written, when all starts are done.
        """
        hearing, courses, every = Hearing(self.job.batches), list[Course](), list[Measurement]()
        for number in itertools.count():
            self._start(number, courses, hearing, devices=devices, meter=meter)
            if number + 1 >= self._starts and not self._goes_on(number + 1, courses):
                break
        for course in courses:
            timed = course.timed()
            every += timed.measurements
            yield timed
        hearing.settle(every)

    def _start(
        self,
        number: int,
        courses: list[Course],
        hearing: Hearing,
        *,
        devices: Devices,
        meter: Meter,
    ) -> None:
        """Start the processes, and time every batch in them; the first start makes the courses."""
        job, clients = self.job, self.job.plan.clients
        labels = [s.label for s in job.subjects for _ in range(clients)]
        with workers_of(labels, number) as workers:
            sides = [workers[i : i + clients] for i in range(0, len(workers), clients)]
            for place, batch in enumerate(job.batches):
                loaded = [
                    load(side, s, [s.request(batch, job.card)] * clients, job.fed)
                    for s, side in zip(job.subjects, sides, strict=True)
                ]
                warm = [ask(side, "warm_up", job.plan.warmup, number == 0) for side in sides]
                if number == 0:
                    courses.append(Course(job, batch, devices, loaded, warm))
                course = courses[place]
                course.start_anew(sides, warm, number, self._starts)
                take_turns(course.teams, meter, number)
                hearing.take(list(zip(job.subjects, course.teams, strict=True)), batch)
                ask(workers, "unload")

    def _goes_on(self, number: int, courses: list[Course]) -> bool:
        """Whether a ratio's interval is wider than was asked for, and may still be narrowed."""
        width = self.job.plan.until_ci
        if width is None or number >= MOST_STARTS:
            return False
        ratios = [paired_ratio(c.called(a), c.called(b)) for c in courses for a, b in self._pairs]
        return any(r.ci95 is None or r.ci95[1] / r.ci95[0] > (1 + width) ** 2 for r in ratios)


class Course:
    """All subjects at one batch over all starts. How many calls a block has is decided in the first
    start, whose answers after loading and warming up are given.
    """

    def __init__(
        self,
        job: Job,
        batch: int,
        devices: Devices,
        loaded: Sequence[list[Loaded]],
        warm: Sequence[list[Warm]],
    ) -> None:
        self._job = job
        self._calls = [job.plan.calls(max(w.call_s for w in side)) for side in warm]
        self._own: list[int] = []
        self.teams = [
            Team(subject.label, batch, [], side, [], [], [devices.watch(side[0].device)])
            for subject, side in zip(job.subjects, loaded, strict=True)
        ]

    def start_anew(
        self, sides: Sequence[list[Worker]], warm: Sequence[list[Warm]], number: int, starts: int
    ) -> None:
        """Give every team the processes of a start, and its share of the blocks."""
        self._own += [worker.pid for side in sides for worker in side]
        for team, side, warmed, calls in zip(self.teams, sides, warm, self._calls, strict=True):
            ends = [0, *itertools.accumulate(shares(len(calls), min(starts, len(calls))))]
            place = number % (len(ends) - 1)
            team.start_anew(side, warmed, calls[ends[place] : ends[place + 1]])

    def called(self, index: int) -> Measurement:
        """What a subject's calls took until now."""
        team, subject = self.teams[index], self._job.subjects[index]
        members = range(len(team.workers))
        return team.measurement(subject, "call", members, inputs=self._job.feeding.kind)

    def timed(self) -> Timed:
        """One measurement a subject and timing boundary that its backend knows, and the doubts."""
        timed = Timed([], [])
        for subject, team in zip(self._job.subjects, self.teams, strict=True):
            members = range(len(team.workers))
            counters, doubts = observed(
                [[b.usage for b in block] for block in team.blocks],
                team.watches[0],
                seconds=team.seconds,
                images=team.images(members),
                own=self._own,
            )
            facts = {"inputs": self._job.feeding.kind, "counters": counters | team.memory()}
            timed.measurements.extend(
                team.measurement(subject, boundary, members, **facts)
                for boundary in team.loaded[0].boundaries
            )
            where = f"{subject.label}, batch {team.batch}"
            timed.doubts.extend(f"{where}: {why}" for why in team.doubts() + doubts)
        return timed
