"""Timing several subjects in alternating blocks, each in worker processes of its own.

For every batch all subjects are loaded and warmed up; then they take turns, block by block, in an
order that is reversed every time, so that neither a drift of the machine nor the order favours one.
Nothing is discarded: what is not counted (warm-up, first calls) is kept apart.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from portproof import backend as backends
from portproof.core.progress import Meter
from portproof.infer.runtimes.model_files import packages
from portproof.infer.timing.answers.hearing import Hearing
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.processes.parent import ask, workers_of
from portproof.infer.timing.processes.teams import Team, load, take_turns
from portproof.infer.timing.protocol import Job, Plan, Timed, observed
from portproof.infer.timing.subject import Subject
from portproof.measurement import Measurement


class Alternating:
    """A :class:`portproof.infer.timing.protocol.Timer` of backends."""

    HOW: ClassVar = "by backends"
    PLAN: ClassVar = Plan()
    TAKES: ClassVar = ("blocks", "block_s", "iterations", "warmup", "clients")
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

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """All subjects at each batch; their workers live as long as the bench. Whether they
        answered right is known, and written, when all batches are done.
        """
        job, clients = self.job, self.job.plan.clients
        feeding, hearing, every = job.fed, Hearing(job.batches), list[Measurement]()
        with workers_of([s.label for s in job.subjects for _ in range(clients)]) as workers:
            sides = [workers[i : i + clients] for i in range(0, len(workers), clients)]
            own = [worker.pid for worker in workers]
            for batch in job.batches:
                loaded = [
                    load(side, s, [s.request(batch, job.card)] * clients, feeding)
                    for s, side in zip(job.subjects, sides, strict=True)
                ]
                teams = []
                for subject, side, answers in zip(job.subjects, sides, loaded, strict=True):
                    warm = ask(side, "warm_up", job.plan.warmup)
                    calls = job.plan.calls(max(w.call_s for w in warm))
                    watches = [devices.watch(answers[0].device)]
                    teams.append(Team(subject.label, batch, side, answers, warm, calls, watches))
                take_turns(teams, meter)
                hearing.take(list(zip(job.subjects, teams, strict=True)), batch)
                ask(workers, "unload")
                timed = Timed([], [])
                for subject, team in zip(job.subjects, teams, strict=True):
                    measurements, doubts = _measured(team, subject, feeding, own)
                    timed.measurements.extend(measurements)
                    timed.doubts.extend(doubts)
                every += timed.measurements
                yield timed
        hearing.settle(every)


def _measured(
    team: Team, subject: Subject, feeding: Feeding, own: list[int]
) -> tuple[list[Measurement], list[str]]:
    """One measurement a timing boundary that the backend knows, and the doubts about all."""
    members = range(len(team.workers))
    counters, doubts = observed(
        [[b.usage for b in block] for block in team.blocks],
        team.watches[0],
        seconds=team.seconds,
        images=team.images(members),
        own=own,
    )
    counters |= team.memory()
    measurements = [
        team.measurement(subject, boundary, members, inputs=feeding.kind, counters=counters)
        for boundary in team.loaded[0].boundaries
    ]
    where = f"{subject.label}, batch {team.batch}"
    return measurements, [f"{where}: {why}" for why in team.doubts() + doubts]
