"""Timing by vendor tools: each tool times its own executions on the device; their raw times become
measurements like any other's.

The tools run one after the other, not in alternation, so ratios between them are not formed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import portproof
from portproof import rehearsal
from portproof.backend import TensorSpec
from portproof.convert.ascend.om_facts import OmFacts, check_batch, facts_of
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.infer.runtimes.model_files import card_files
from portproof.infer.runtimes.npu_devices import device_index
from portproof.infer.timing.feed import Feeding, Kind
from portproof.infer.timing.steady import reasons
from portproof.infer.timing.subject import Subject, parse_subject
from portproof.infer.vendor import Job, find
from portproof.infer.vendor.parts.gears import gear_flags
from portproof.infer.vendor.parts.scratch import scratch_beside
from portproof.measurement import Measurement, Performance, read_performance, write_performance
from portproof.proof.sidecar import environment, proof_of
from portproof.proof.work import Work

#: Executions of one run of a tool, as the usual pure inference has, and runs a batch.
ROUNDS, BLOCKS = 20, 5


@dataclass(frozen=True, slots=True)
class ToolBench:
    """What to time: subjects (all by the tool ``runner``), batches, the model card (for inputs that
    we make), the kind of inputs, and what a model with a choice runs with.
    """

    runner: str
    subjects: Sequence[Subject | str]
    batches: tuple[int, ...]
    card: str | None = None
    inputs: Kind = "zeros"
    info: str | None = None
    device: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    rounds: int = ROUNDS
    blocks: int = BLOCKS


def bench_with_tool(plan: ToolBench, out: Path) -> Performance:
    """Time the subjects and write ``out`` with its sidecar. Raises :class:`InputError` for bad
    input and :class:`ToolError` when the tool fails.
    """
    tool = find(plan.runner)
    subjects = [parse_subject(s) if isinstance(s, str) else s for s in plan.subjects]
    strangers = [s.label for s in subjects if s.backend not in ("om", plan.runner)]
    if strangers:
        raise InputError(
            f"--runner {plan.runner} times .om files, LABEL=om:FILE was expected for"
            f" '{strangers[0]}'"
        )
    if plan.inputs not in tool.INPUTS:
        raise InputError(
            f"the tool '{plan.runner}' is timed with {' or '.join(tool.INPUTS)} inputs, --inputs"
            f" asks for {plan.inputs}"
        )
    models = dict.fromkeys(s.model(b) for s in subjects for b in plan.batches)
    parameters = {
        "runner": plan.runner,
        "subjects": subjects,
        "batches": plan.batches,
        "card": plan.card,
        "inputs": plan.inputs,
        "device": plan.device,
        "options": dict(plan.options),
        "rounds": plan.rounds,
        "blocks": plan.blocks,
    }
    files = {
        "model": [existing_file(m, "offline model") for m in models],
        **card_files(plan.card),
        "info": [Path(plan.info)] if plan.info else [],
    }
    work = Work("bench", out, inputs=files, parameters=parameters, simulated=rehearsal.is_active())
    if work.is_done():
        return read_performance(out)
    work.begin()
    versions = {"portproof": portproof.__version__}
    performance = Performance(
        measurements=[],
        environment=environment(),
        versions=versions,
        simulated=rehearsal.is_active(),
    )
    for subject in subjects:
        for batch in plan.batches:
            performance.measurements.append(_measure(plan, subject, batch, out))
    performance.reasons = [why for m in performance.measurements for why in reasons(m)]
    performance.status = "unstable" if performance.reasons else "ok"
    write_performance(out, performance)
    work.finish([out], {"status": performance.status, "reasons": performance.reasons})
    return performance


def _measure(plan: ToolBench, subject: Subject, batch: int, out: Path) -> Measurement:
    """One batch: several runs of the tool, each a block. Its first execution pays for what the
    others find ready, so it is kept apart.
    """
    tool, device, model = find(plan.runner), device_index(plan.device), subject.model(batch)
    log = out.absolute().parent / "logs" / f"bench_{plan.runner}_{subject.label}_bs{batch}.log"
    facts = facts_of(model)
    gear = gear_flags(model, facts, batch, plan.options)
    if facts:
        check_batch(model, facts, batch)
    runs = []
    for _ in range(plan.blocks):
        with scratch_beside(out) as scratch:
            job = Job(model.absolute(), batch, device, scratch, log, gear=gear, facts=facts)
            runs.append(tool.time_calls(job, plan.rounds + 1, _inputs(plan, facts, batch, scratch)))
    proof = proof_of(model)
    precision = str((proof.parameters.get("precision") if proof else None) or "fp16")
    return Measurement(
        label=subject.label,
        model=str(model),
        backend=plan.runner,
        batch=batch,
        boundary="device",
        precision=precision,
        clients=1,
        inputs=plan.inputs,
        blocks=[times[1:] for times in runs],
        first_calls=[times[0] for times in runs],
        device=f"npu:{device}",
        provider=f"{plan.runner}{' ' + rehearsal.MARK if rehearsal.is_active() else ''}",
        simulated=rehearsal.is_active(),
    )


def _inputs(plan: ToolBench, facts: OmFacts | None, batch: int, scratch: Path) -> list[Path]:
    """One file a model input that holds a batch of real samples or of random values of the input's
    own dtype; none for zeros, which tools make, and for a tool that makes its own random data.
    """
    if plan.inputs == "zeros" or (
        plan.inputs == "random" and "zeros" not in find(plan.runner).INPUTS
    ):
        return []
    specs = _specs(plan, facts)
    arrays = Feeding(plan.inputs, plan.info, {}).batches(specs, batch)[0]
    paths: list[Path] = []
    for spec in specs:
        paths.append(scratch / f"{len(paths)}.bin")
        arrays[spec.name].tofile(paths[-1])
    return paths


def _specs(plan: ToolBench, facts: OmFacts | None) -> tuple[TensorSpec, ...]:
    """The model's inputs: as its sidecar has them, else as the card has them, which knows nothing
    of AIPP.
    """
    if facts and facts.inputs and all(s.nbytes(1) is not None for s in facts.inputs):
        return facts.inputs
    if plan.card is None:
        raise InputError(
            f"{plan.inputs} inputs need the shapes of the model's inputs: give a model card with"
            " --model"
        )
    from portproof.preprocess.cards.resolve import resolve_card

    return tuple(
        TensorSpec(i.name, i.dtype, (None, *i.shape)) for i in resolve_card(plan.card).inputs
    )
