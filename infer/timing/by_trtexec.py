"""Timing engines by trtexec: in two modes, both given in full, so that figures of all versions of
TensorRT are of one kind: CUDA graph and spinning, without and with transfers.
"""

from __future__ import annotations

import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from portproof.convert.nvidia.trtexec import Mode, Shape, bench_command, find_trtexec
from portproof.core.errors import InputError
from portproof.core.progress import Meter
from portproof.core.shell import Finished, run_program
from portproof.host.nvidiasmi import gpu_here
from portproof.infer.runtimes.trt_engine import stated_precision
from portproof.infer.timing.devices.watch import Devices, Watch
from portproof.infer.timing.processes.counters import Usage, UsageMeter
from portproof.infer.timing.protocol import Job, Plan, Timed, observed, refuse
from portproof.infer.timing.trtexec_blocks import (
    BOUNDARIES,
    CALL_MODE,
    DEVICE_MODE,
    Series,
    block_of,
    checked,
    times_file,
)
from portproof.logs.logged import Run
from portproof.measurement import Answers, Boundary, Measurement
from portproof.proof.freshness import difference
from portproof.proof.sidecar import proof_of

#: One trtexec at a time runs, whose process id is not known.
OWN = (-1,)


@dataclass(slots=True)
class _Batch:
    """The runs of one batch by mode, what they used, and the seconds and images under watch."""

    runs: dict[Mode, list[Series]] = field(default_factory=lambda: {DEVICE_MODE: [], CALL_MODE: []})
    usages: list[list[Usage]] = field(default_factory=list)
    seconds: float = 0.0
    images: float = 0.0


class ByTrtexec:
    """A :class:`portproof.infer.timing.protocol.Timer` of one engine a batch. A block is a run of
    trtexec in a mode.
    """

    HOW: ClassVar = "by trtexec"
    PLAN: ClassVar = Plan(blocks=3, block_s=3.0)
    TAKES: ClassVar = ("blocks", "block_s")
    alternates, keeps_logs = False, True

    def __init__(self, job: Job) -> None:
        (subject, *more) = job.subjects
        self.job, self.subject, self.device = job, subject, subject.device or "cuda:0"
        if more:
            raise InputError("trtexec times one subject: give each a bench of its own")
        if not re.fullmatch(r"cuda(:[0-9]+)?", self.device):
            raise InputError(
                f"trtexec runs on an NVIDIA GPU: --device is '{self.device}', 'cuda:0' (or another"
                " number) was expected"
            )
        if job.feeding.kind != "random":
            raise InputError(
                f"trtexec makes random inputs itself, --inputs asks for {job.feeding.kind}"
            )
        refuse(job.subjects, "trtexec", ("precision", "threads"))
        if subject.options:
            raise InputError(f"trtexec has no option '{next(iter(subject.options))}' here")
        self.shapes = {b: shapes_of(subject.model(b), b) for b in job.batches}
        self.tool = find_trtexec()
        self.parameters = {"tensorrt": self.tool.version_text, "gpu": gpu_here()}
        self.packages: Sequence[str] = ()
        self.versions = {"tensorrt": self.tool.version_text}
        self.devices = [self.device]
        self.blocks = 2 * job.plan.blocks

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """Both modes in turn at each batch, several times."""
        for batch in self.job.batches:
            timed, watch = _Batch(), devices.watch(self.device)
            for number in range(1, self.job.plan.blocks + 1):
                for mode in timed.runs:
                    times = times_file(folder, batch, mode, number)
                    self._run(timed, batch, mode=mode, times=times, watch=watch)
                    meter.advance()
            yield self._timed(timed, batch, watch)

    def _run(self, timed: _Batch, batch: int, *, mode: Mode, times: Path, watch: Watch) -> None:
        """One run of trtexec, added to those of its batch."""
        shapes, seconds = self.shapes[batch], self.job.plan.block_s
        engine = self.subject.model(batch).absolute()
        command = bench_command(self.tool, engine, shapes, mode, times=times, seconds=seconds)
        command.append(f"--device={self.device.partition(':')[2] or '0'}")
        used = UsageMeter(children=True)
        with watch.block():
            done = run_program(command, times.with_suffix(".log"), timeout_s=60 + 10 * seconds)
        timed.usages.append([used.usage()])
        series, run = checked(done, self.tool, batch, shapes, mode=mode, times=times)
        timed.runs[mode].append(series)
        watched_s = watch.narrow(*_timed_between(done, run, seconds))
        timed.seconds += watched_s
        timed.images += batch * series.queries.rate * watched_s

    def _timed(self, timed: _Batch, batch: int, watch: Watch) -> Timed:
        counters, doubts = observed(
            timed.usages, watch, seconds=timed.seconds, images=timed.images, own=OWN
        )
        every = [series for runs in timed.runs.values() for series in runs]
        doubts += dict.fromkeys(why for series in every for why in series.doubts)
        measurements = [
            self._measurement(batch, boundary, mode=mode, runs=timed.runs[mode], counters=counters)
            for mode, boundary in BOUNDARIES
        ]
        return Timed(measurements, [f"{self.subject.label}, batch {batch}: {w}" for w in doubts])

    def _measurement(
        self,
        batch: int,
        boundary: Boundary,
        *,
        mode: Mode,
        runs: Sequence[Series],
        counters: dict[str, Any],
    ) -> Measurement:
        subject = self.subject
        effective = replace(mode, graph=all(series.graph for series in runs))
        names = ("graph", "spin", "transfers")
        return Measurement(
            label=subject.label,
            model=str(subject.model(batch)),
            backend=subject.backend,
            batch=batch,
            boundary=boundary,
            precision=stated_precision(subject.model(batch)),
            clients=1,
            inputs="random",
            blocks=[block_of(series.queries, boundary) for series in runs],
            starts=[1] * len(runs),
            device=self.device,
            provider=f"trtexec {self.tool.version_text}",
            options={name: "on" if getattr(effective, name) else "off" for name in names},
            counters=counters | {"queries": sum(len(series.queries.compute_s) for series in runs)},
            answers=Answers(ok=None, reason="trtexec gives no answers when it is timed"),
        )


def shapes_of(engine: Path, batch: int) -> dict[str, Shape]:
    """The shapes to run, from the engine's sidecar: those it was built for, with the batch in the
    place of the best one. Empty for a static model.
    """
    proof = proof_of(engine)
    if proof is None or "shapes" not in proof.parameters:
        raise InputError(
            f"'{engine}' has no sidecar with its shapes; build it with convert/onnx2trt.py"
        )
    records = [r for r in proof.outputs if Path(r.path).name == engine.name]
    if all(difference(record, engine) for record in records):
        raise InputError(
            f"'{engine}' is not the file that its sidecar describes; build it again with"
            " convert/onnx2trt.py"
        )
    shapes: dict[str, Shape] = {}
    for name, (low, best, high) in proof.parameters["shapes"].items():
        if not low[0] <= batch <= high[0]:
            raise InputError(
                f"'{engine}' was built for batches of {low[0]} to {high[0]}, --batch asks for"
                f" {batch}; build one for it"
            )
        shapes[name] = (batch, *best[1:])
    return shapes


def _timed_between(done: Finished, run: Run, seconds: float) -> tuple[float, float]:
    """Unix times between which trtexec certainly infers: what comes before loads the engine on an
    idle GPU in a slow state.

    Its log gives in local time, cut to the second, when the warm-up of 1 s began. Half a second
    more is left for the clocks to rise.
    """
    if "started" not in run.facts:
        raise done.failure("trtexec's log does not say when it started to infer")
    began = time.mktime(time.strptime(run.facts["started"], "%m/%d/%Y-%H:%M:%S"))
    return began + 1.5, began + 1 + seconds
