"""Timing by vendor tools: each tool times its own executions on the device; their raw times become
measurements like any other's.

The tools run one after the other, not in alternation, so ratios between them are not formed here.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from portproof import rehearsal
from portproof.backend import TensorSpec
from portproof.convert.ascend.om_facts import OmFacts, check_batch, facts_of
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.core.progress import Meter
from portproof.infer import vendor
from portproof.infer.runtimes.npu_devices import device_index
from portproof.infer.timing.devices.watch import Devices
from portproof.infer.timing.processes.counters import UsageMeter
from portproof.infer.timing.protocol import Job, Plan, Timed, observed, refuse
from portproof.infer.timing.subject import Subject
from portproof.infer.vendor.parts.gears import gear_flags
from portproof.infer.vendor.parts.scratch import scratch_beside
from portproof.manifest import read_info
from portproof.measurement import Answers, Measurement
from portproof.proof.sidecar import proof_of

#: One tool at a time runs, whose process id is not known.
OWN = (-1,)


class ByTool:
    """A :class:`portproof.infer.timing.protocol.Timer` of ``.om`` files; a subject's backend is the
    name of its tool. ``--iterations`` are the executions of a block.
    """

    HOW: ClassVar = "by a vendor tool"
    #: Twenty executions are the tools' own default of pure inference.
    PLAN: ClassVar = Plan(iterations=20)
    TAKES: ClassVar = ("blocks", "iterations")
    alternates, keeps_logs = False, True

    def __init__(self, job: Job) -> None:
        tools = {s.backend: vendor.find(s.backend) for s in job.subjects}
        for name, tool in tools.items():
            if job.feeding.kind not in tool.INPUTS:
                raise InputError(
                    f"the tool '{name}' is timed with {' or '.join(tool.INPUTS)} inputs, --inputs"
                    f" asks for {job.feeding.kind}"
                )
            refuse(job.subjects, name, ("precision", "threads"))
        self.job = job
        self.parameters: Mapping[str, Any] = {}
        self.packages = sorted({"numpy", *(p for t in tools.values() for p in t.PACKAGES)})
        self.versions: Mapping[str, str] = {}
        self.devices = [f"npu:{device_index(s.device)}" for s in job.subjects]
        self.blocks = len(job.subjects) * job.plan.blocks
        for subject in job.subjects:
            for batch in job.batches:
                _gear(subject, batch)

    def measure(self, devices: Devices, folder: Path, meter: Meter) -> Generator[Timed, None, None]:
        """Subject after subject at each batch."""
        for batch in self.job.batches:
            timed = Timed([], [])
            for subject in self.job.subjects:
                measurement, doubts = self._measure(subject, batch, devices, folder, meter)
                timed.measurements.append(measurement)
                timed.doubts.extend(f"{subject.label}, batch {batch}: {why}" for why in doubts)
            yield timed

    def _measure(
        self, subject: Subject, batch: int, devices: Devices, folder: Path, meter: Meter
    ) -> tuple[Measurement, list[str]]:
        """Several runs of the tool, each a block. Its first execution pays for what the others find
        ready, so it is kept apart.
        """
        tool, number = vendor.find(subject.backend), device_index(subject.device)
        name, model = f"bench_{subject.backend}_{subject.label}_bs{batch}", subject.model(batch)
        facts, gear = _gear(subject, batch)
        watch, runs, usages = devices.watch(f"npu:{number}"), [], []
        for _ in range(self.job.plan.blocks):
            with scratch_beside(folder / name) as scratch:
                log = folder / "logs" / f"{name}.log"
                run = vendor.ToolJob(
                    model.absolute(), batch, number, scratch, log, "bin", gear, facts
                )
                inputs = self._inputs(subject, facts, batch, scratch)
                used = UsageMeter(children=True)
                with watch.block():
                    runs.append(tool.time_calls(run, (self.job.plan.iterations or 1) + 1, inputs))
                usages.append([used.usage()])
            meter.advance()
        counters, doubts = observed(
            usages,
            watch,
            seconds=sum(usage.wall_s for (usage,) in usages),
            images=batch * sum(map(len, runs)),
            own=OWN,
        )
        mark = f" {rehearsal.MARK}" if rehearsal.is_active() else ""
        proof = proof_of(model)
        measurement = Measurement(
            label=subject.label,
            model=str(model),
            backend=subject.backend,
            batch=batch,
            boundary="device",
            precision=str((proof.parameters.get("precision") if proof else None) or "fp16"),
            clients=1,
            inputs=self.job.feeding.kind,
            blocks=[times[1:] for times in runs],
            starts=[1] * len(runs),
            first_calls=[times[0] for times in runs],
            device=f"npu:{number}",
            provider=f"{subject.backend}{mark}",
            simulated=rehearsal.is_active(),
            counters=counters,
            answers=Answers(ok=None, reason=f"{subject.backend} gives no answers when it is timed"),
        )
        return measurement, doubts

    def _inputs(
        self, subject: Subject, facts: OmFacts | None, batch: int, scratch: Path
    ) -> list[Path]:
        """One file a model input that holds a batch of real samples or of random values of the
        input's own dtype; none for zeros, which tools make, and for a tool that makes its own
        random data.
        """
        feeding = self.job.feeding
        makes_own = "zeros" not in vendor.find(subject.backend).INPUTS
        if feeding.kind == "zeros" or (feeding.kind == "random" and makes_own):
            return []
        specs = self._specs(facts)
        if specs is None:
            return self._unread(batch, scratch)
        arrays = feeding.batches(specs, batch)[0]
        paths: list[Path] = []
        for spec in specs:
            paths.append(scratch / f"{len(paths)}.bin")
            arrays[spec.name].tofile(paths[-1])
        return paths

    def _unread(self, batch: int, scratch: Path) -> list[Path]:
        """The first real samples one after the other, a file an input, where nobody knows the
        model's shapes; the tool checks the number of bytes.
        """
        samples = itertools.islice(itertools.cycle(read_info(str(self.job.feeding.info))), batch)
        paths: list[Path] = []
        for files in zip(*(sample.files for sample in samples), strict=True):
            paths.append(scratch / f"{len(paths)}.bin")
            read = [existing_file(file, "sample file").read_bytes() for file in files]
            paths[-1].write_bytes(b"".join(read))
        return paths

    def _specs(self, facts: OmFacts | None) -> tuple[TensorSpec, ...] | None:
        """The model's inputs: as its sidecar has them, else as the card has them, which knows
        nothing of AIPP. None for real ones of which neither is there.
        """
        if facts and facts.inputs and all(s.nbytes(1) is not None for s in facts.inputs):
            return facts.inputs
        if self.job.card is None and self.job.feeding.kind == "real":
            return None
        if self.job.card is None:
            zeros = all("zeros" in vendor.find(s.backend).INPUTS for s in self.job.subjects)
            raise InputError(
                f"{self.job.feeding.kind} inputs need the shapes of the model's inputs: give a"
                f" model card with --model{', or --inputs zeros' if zeros else ''}"
            )
        from portproof.preprocess.cards.resolve import resolve_card

        inputs = resolve_card(self.job.card).inputs
        return tuple(TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in inputs)


def _gear(subject: Subject, batch: int) -> tuple[OmFacts | None, tuple[str, ...]]:
    """The facts of the model's sidecar, and the flags of its gear at a batch."""
    model = subject.model(batch)
    facts = facts_of(model)
    gear = gear_flags(model, facts, batch, subject.options)
    if facts:
        check_batch(model, facts, batch)
    return facts, gear
