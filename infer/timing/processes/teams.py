"""Teams of workers that take turns: the clients of a subject, or the chips of a board, which call
at the same time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from portproof import rehearsal
from portproof.backend import LoadRequest
from portproof.core.progress import Meter
from portproof.infer.timing.devices.watch import Watch
from portproof.infer.timing.processes.child import Block, Loaded, Warm
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.processes.parent import Worker, ask
from portproof.infer.timing.subject import Subject
from portproof.measurement import Boundary, Measurement


@dataclass(slots=True)
class Team:
    """Workers that have loaded one model at one batch. ``loaded``: what the first of them answered;
    ``warm``: of each start, every worker's warm-up; ``calls``: counted calls of each block of the
    present start. ``starts``: blocks of each start; ``blocks``: of each, every worker's.
    ``watches``: over the devices that they use.
    """

    label: str
    batch: int
    workers: Sequence[Worker]
    loaded: list[Loaded]
    warm: list[list[Warm]]
    calls: list[int]
    watches: list[Watch]
    starts: list[int] = field(default_factory=list)
    blocks: list[list[Block]] = field(default_factory=list)

    def start_anew(self, workers: Sequence[Worker], warm: list[Warm], calls: list[int]) -> None:
        """Go on with other workers, which have loaded the same."""
        self.workers, self.calls = workers, calls
        self.warm.append(warm)

    def doubts(self) -> list[str]:
        """Doubts about the warm-up, and about the rest between blocks. One process in four may
        settle late: the median of the starts is not moved by it.
        """
        found = []
        late = sum(any(w.settled is False for w in warm) for warm in self.warm)
        if late > len(self.warm) / 4:
            found.append("calls were still becoming faster when the warm-up ended")
        if not all(b.rested for block in self.blocks for b in block):
            found.append("its threads used the processor while others were timed")
        return found

    def memory(self) -> dict[str, int | None]:
        """The memory of all its processes, before loading and at most; null is not measured."""
        before = [x.memory_before_bytes for x in self.loaded]
        known = [x for x in before if x is not None]
        return {
            "memory_before_bytes": sum(known) if len(known) == len(before) else None,
            "memory_peak_bytes": sum(b.memory_peak_bytes for b in self.blocks[-1]),
        }

    @property
    def seconds(self) -> float:
        """Seconds in all blocks."""
        return sum(max(b.usage.wall_s for b in block) for block in self.blocks)

    def images(self, members: Sequence[int]) -> int:
        """Images that some workers inferred in all blocks, in the first calls too."""
        return self.batch * sum(len(b[i].times["call"]) + 1 for b in self.blocks for i in members)

    def measurement(
        self, subject: Subject, boundary: Boundary, members: Sequence[int], **facts: Any
    ) -> Measurement:
        """The calls of some workers (by place) at a boundary, worker by worker in each block."""
        first = self.loaded[members[0]]
        blocks = [[block[i] for i in members] for block in self.blocks]
        known: dict[str, Any] = {
            "label": self.label,
            "model": str(subject.model(self.batch)),
            "backend": subject.backend,
            "precision": first.precision,
            "clients": len(members),
            "blocks": [[_rounded(s) for b in block for s in b.times[boundary]] for block in blocks],
            "starts": self.starts,
            "first_calls": [
                _rounded(s) for block in blocks for b in block for s in b.first[boundary]
            ],
            "warmup": (
                [_rounded(s) for warm in self.warm for i in members for s in warm[i].calls]
                if boundary == "call"
                else []
            ),
            "load_s": first.load_s,
            "first_inference_s": first.first_inference_s,
            "device": first.device,
            "provider": first.provider,
            "threads": subject.threads,
            "options": dict(subject.options),
            "simulated": rehearsal.is_active(),
        }
        return Measurement(batch=self.batch, boundary=boundary, **(known | facts))


def load(
    workers: Sequence[Worker], subject: Subject, requests: Sequence[LoadRequest], feeding: Feeding
) -> list[Loaded]:
    """Load a subject's model in every worker, each by its request, at the same time."""
    for worker, request in zip(workers, requests, strict=True):
        model = str(subject.model(request.batch))
        worker.send("load", subject.backend, model, request, feeding)
    return [worker.answer() for worker in workers]


def take_turns(teams: Sequence[Team], meter: Meter, start: int = 0) -> None:
    """Time all blocks of all teams in a start, a block of one after a block of another. ``start``:
    its number, which decides who is first.
    """
    for team in teams:
        team.starts.append(len(team.calls))
    for number in range(max(len(team.calls) for team in teams)):
        for index in turns(len(teams), number + start):
            team = teams[index]
            with contextlib.ExitStack() as stack:
                for watch in team.watches:
                    stack.enter_context(watch.block())
                last = number == len(team.calls) - 1
                team.blocks.append(ask(team.workers, "block", team.calls[number], last))
            meter.advance()


def turns(count: int, number: int) -> list[int]:
    """The order of the teams in round ``number``: the first place moves on, and every other round
    is reversed.

    >>> [turns(2, n) for n in range(4)], [turns(3, n) for n in range(3)]
    ([[0, 1], [1, 0], [0, 1], [1, 0]], [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
    """
    shift = number // 2 % count
    order = [(i + shift) % count for i in range(count)] if count > 2 else list(range(count))
    return order[::-1] if number % 2 else order


def _rounded(seconds: float) -> float:
    """To the nanosecond, which is all that the clock has."""
    return round(seconds, 9)
