"""A bench's job, and the protocol of a way of timing it. The shell around all of them is in
:mod:`portproof.infer.timing.job`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from portproof.core.errors import InputError
from portproof.core.progress import Meter
from portproof.infer.runtimes.model_files import sample_shapes
from portproof.infer.timing.devices.watch import Devices, Watch, device_counters, device_doubts
from portproof.infer.timing.processes.counters import Usage, host_doubts, summary
from portproof.infer.timing.processes.feed import Feeding
from portproof.infer.timing.subject import Subject
from portproof.measurement import Measurement

#: Calls of a block at most: a model of less than 2 us would fill the file with millions of figures.
MOST_CALLS = 50_000
#: Starts of the processes where subjects are compared, and at most when a width is asked for.
STARTS, MOST_STARTS = 10, 60


@dataclass(frozen=True, slots=True)
class Plan:
    """How long: blocks a subject and batch, seconds that a block should last, or counted calls;
    warm-up calls; clients; starts of the processes, over which the blocks are spread (None: one a
    block where subjects are compared); the half width that a ratio's interval should have, as a
    fraction, for which starts are added. A way of timing that takes not all of them names those in
    ``TAKES``.
    """

    blocks: int = 10
    block_s: float = 0.1
    iterations: int | None = None
    warmup: int | None = None
    clients: int = 1
    starts: int | None = None
    until_ci: float | None = None

    def calls(self, call_s: float) -> list[int]:
        """Counted calls of each block, for a client whose call takes so long."""
        if self.iterations is None:
            count = max(1, math.ceil(self.block_s / max(call_s, 1e-6)))
            return [min(MOST_CALLS, count)] * self.blocks
        return shares(self.iterations, min(self.blocks, self.iterations))

    def started(self, subjects: int) -> int:
        """How often the processes are started: the comparison of subjects needs it, one alone has
        no ratio.
        """
        usual = STARTS if subjects > 1 else 1
        blocks = min(self.blocks, self.iterations or self.blocks)
        return min(self.starts or usual, blocks)


def shares(total: int, parts: int) -> list[int]:
    """A number in whole parts as equal as can be.

    >>> shares(9, 4)
    [3, 2, 2, 2]
    """
    return [total // parts + (i < total % parts) for i in range(parts)]


@dataclass(frozen=True, slots=True)
class Job:
    """What is timed: subjects at batches, with a model card and inputs, as long as the plan says;
    ``devices``: the NPU chips of a board that work together; ``over``: the labels that the ratios
    are over (none: the ratios are of the first subject, over each other one).
    """

    subjects: tuple[Subject, ...]
    batches: tuple[int, ...]
    card: str | None
    feeding: Feeding
    plan: Plan
    devices: tuple[int, ...] = ()
    over: tuple[str, ...] = ()

    @property
    def fed(self) -> Feeding:
        """The inputs, with the shapes that the card knows; resolving a card may take seconds."""
        return replace(self.feeding, sample_shapes=sample_shapes(self.card))


class Timed(NamedTuple):
    """A batch's measurements, and doubts about them beside those that follow from the times."""

    measurements: list[Measurement]
    doubts: list[str]


class Timer(Protocol):
    """A way of timing. Making one raises :class:`InputError` for a job that it cannot time."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What decides the figures beside the job, for the sidecar."""

    @property
    def packages(self) -> Sequence[str]:
        """Distributions whose versions decide them too."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of programs that are no distribution, by name."""

    @property
    def devices(self) -> Sequence[str | None]:
        """The devices to watch."""

    @property
    def blocks(self) -> int:
        """All blocks of a batch, for the progress."""

    @property
    def alternates(self) -> bool:
        """Whether the subjects take turns, so that their ratios mean something."""

    @property
    def keeps_logs(self) -> bool:
        """Whether logs are kept beside the measurement, which needs a file then."""

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """Time batch by batch; ``folder`` is that of the measurement, ``meter`` counts blocks."""


def observed(
    usages: Sequence[Sequence[Usage]],
    watch: Watch | None,
    *,
    seconds: float,
    images: float,
    own: Collection[int],
) -> tuple[dict[str, Any], list[str]]:
    """The host's and the device's counters over all blocks, and the doubts that they raise.

    ``usages``: of each block, as every client counted it. ``seconds``: spent in all blocks, in
    which ``images`` were inferred. ``own``: ids of the processes of this bench.
    """
    host = summary(usages)
    doubts = host_doubts(host)
    if watch is None:
        return host, doubts
    counters = host | device_counters(watch, seconds, images, own)
    return counters, doubts + device_doubts(watch, own)


def refuse(subjects: Sequence[Subject], tool: str, names: Sequence[str]) -> None:
    """:class:`InputError` if a subject has a setting that only backends in this process know."""
    for subject in subjects:
        for name in names:
            if getattr(subject, name):
                raise InputError(
                    f"--{name} is for backends in this process and has no meaning for {tool}; leave"
                    " it out"
                )
