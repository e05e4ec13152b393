"""The chips of a board timed together: the rate of each while the others work, of all, and of one
while the others rest.

A tool times one chip, and a board's rate is usually stated as that times its chips; here the board
is measured, beside that product.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from portproof import backend as backends
from portproof.core.errors import InputError
from portproof.core.progress import Meter
from portproof.infer import vendor
from portproof.infer.runtimes.model_files import packages
from portproof.infer.timing.answers.hearing import Hearing
from portproof.infer.timing.devices.watch import Devices, Watch, device_doubts
from portproof.infer.timing.processes.child import Loaded, Warm
from portproof.infer.timing.processes.parent import Worker, ask, workers_of
from portproof.infer.timing.processes.teams import Team, load, take_turns
from portproof.infer.timing.protocol import Job, Plan, Timed, observed
from portproof.measurement import ALONE, TOGETHER, Measurement, Scope


class Board:
    """A :class:`portproof.infer.timing.protocol.Timer` of one subject on several NPU chips. Labels:
    ``L@npu:N`` for each chip while all work, ``L card`` for all, ``L alone`` for the first alone.
    """

    HOW: ClassVar = "with --devices"
    #: Blocks long enough that the chips' starts, milliseconds apart, do not matter.
    PLAN: ClassVar = Plan(blocks=5, block_s=0.5)
    TAKES: ClassVar = ("blocks", "block_s", "iterations", "warmup")
    alternates = keeps_logs = False

    def __init__(self, job: Job) -> None:
        (subject, *more), chips = job.subjects, job.devices
        if more or subject.device or subject.backend in vendor.names():
            raise InputError(
                "--devices times one subject by a backend of this process, without --device"
            )
        if len(set(chips)) < 2 or len(set(chips)) != len(chips):
            raise InputError(
                "--devices of a bench names the chips of a board that work together: at least two,"
                " each once"
            )
        for batch in job.batches:
            backends.check_suffix(subject.backend, subject.model(batch))
        self.job, self.subject = job, subject
        self.parameters: Mapping[str, Any] = {"devices": chips}
        self.packages = sorted(set(packages(subject.backend, job.card)))
        self.versions: Mapping[str, str] = {}
        self.devices = [f"npu:{n}" for n in chips]
        self.blocks = 2 * job.plan.blocks

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """Each batch: blocks of the first chip alone and of all chips take turns."""
        job, feeding, hearing = self.job, self.job.fed, Hearing(self.job.batches)
        every = list[Measurement]()
        with workers_of([f"{self.subject.label}@{name}" for name in self.devices]) as workers:
            for batch in job.batches:
                request = self.subject.request(batch, job.card)
                requests = [replace(request, device=name) for name in self.devices]
                loaded = load(workers, self.subject, requests, feeding)
                warm: list[Warm] = ask(workers, "warm_up", job.plan.warmup)
                teams = self._teams(batch, workers, loaded, warm, devices)
                take_turns(teams, meter)
                hearing.take([(self.subject, teams[1])], batch)
                ask(workers, "unload")
                timed = self._timed(*teams)
                every += timed.measurements
                yield timed
        hearing.settle(every, self.subject.label)

    def _teams(
        self,
        batch: int,
        workers: Sequence[Worker],
        loaded: list[Loaded],
        warm: list[Warm],
        devices: Devices,
    ) -> tuple[Team, Team]:
        """The first chip, and all of them, which make as many calls a block."""
        label, calls = self.subject.label, self.job.plan.calls(max(w.call_s for w in warm))
        watches = [devices.watch(name) for name in self.devices]
        alone = [devices.watch(self.devices[0])]
        return (
            Team(f"{label}{ALONE}", batch, workers[:1], loaded[:1], [warm[:1]], calls, alone),
            Team(f"{label}{TOGETHER}", batch, workers, loaded, [warm], calls, watches),
        )

    def _timed(self, alone: Team, together: Team) -> Timed:
        """The first alone, each while all work, and all, at every boundary."""
        every = range(len(together.workers))
        label, own = self.subject.label, [worker.pid for worker in together.workers]
        parts: list[tuple[Team, Scope, str, Sequence[int], Watch | None]] = [
            (alone, "alone", alone.label, [0], alone.watches[0]),
            *(
                (together, "chip", f"{label}@{self.devices[i]}", [i], watch)
                for i, watch in enumerate(together.watches)
            ),
            (together, "together", together.label, every, None),
        ]
        timed, shown = Timed([], []), list[list[Measurement]]()
        for team, scope, label, members, watch in parts:
            # The host's counters are the team's: a chip's worker is not alone on the processor.
            counters, doubts = observed(
                [[b.usage for b in block] for block in team.blocks],
                watch,
                seconds=team.seconds,
                images=team.images(members),
                own=own,
            )
            if watch and scope == "chip":
                doubts = device_doubts(watch, own)
            else:
                doubts += team.doubts()
            timed.doubts.extend(f"{label}, batch {team.batch}: {why}" for why in doubts)
            shown.append(self._measurements(team, members, label, scope, counters))
        timed.measurements.extend(m for boundary in zip(*shown, strict=True) for m in boundary)
        return timed

    def _measurements(
        self, team: Team, members: Sequence[int], label: str, scope: Scope, counters: dict[str, Any]
    ) -> list[Measurement]:
        """The measurements of some chips, one a boundary."""
        return [
            team.measurement(
                self.subject,
                boundary,
                members,
                label=label,
                scope=scope,
                chips=len(members),
                device="npu:" + "+".join(str(self.job.devices[i]) for i in members),
                inputs=self.job.feeding.kind,
                counters=counters,
            )
            for boundary in team.loaded[0].boundaries
        ]
