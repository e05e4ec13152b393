"""Several chips of a card timed together: what each does while the others work, what they do in
all, and what one of them does alone.

A tool times one chip, and a card's rate is usually stated as that times its chips; here the card is
measured, beside that product.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portproof
from portproof import rehearsal
from portproof.core.errors import InputError
from portproof.core.files import existing_file
from portproof.infer.runtimes.model_files import card_files, sample_shapes
from portproof.infer.timing.alternating import Plan
from portproof.infer.timing.feed import Feeding
from portproof.infer.timing.steady import reasons
from portproof.infer.timing.subject import Subject
from portproof.infer.timing.workers.child import Block, Loaded
from portproof.infer.timing.workers.parent import Worker
from portproof.measurement import (
    ALONE,
    TOGETHER,
    Measurement,
    Performance,
    board_rows,
    read_performance,
    write_performance,
)
from portproof.proof.sidecar import environment
from portproof.proof.work import Work

#: Blocks long enough that the chips' starts, milliseconds apart, do not matter.
PLAN = Plan(blocks=5, block_s=0.5)


@dataclass(frozen=True, slots=True)
class CardBench:
    """A subject on several devices of one card, at several batches."""

    subject: Subject
    batches: tuple[int, ...]
    devices: tuple[int, ...]
    card: str | None
    feeding: Feeding
    plan: Plan = PLAN


def bench_card(job: CardBench, out: Path) -> Performance:
    """Time and write ``out`` with its sidecar. Labels: ``L@npu:N`` for each device while all work,
    ``L card`` for all, ``L alone`` for the first alone.
    """
    if len(set(job.devices)) < 2 or len(set(job.devices)) != len(job.devices):
        raise InputError(
            "--devices of a bench names the chips of a card that work together: at least two, each"
            " once"
        )
    models = [existing_file(job.subject.model(b), "model file") for b in job.batches]
    parameters = {
        "subject": job.subject,
        "batches": job.batches,
        "devices": job.devices,
        "card": job.card,
        "inputs": job.feeding.kind,
        "plan": job.plan,
    }
    info = [Path(job.feeding.info)] if job.feeding.info else []
    work = Work(
        "bench",
        out,
        inputs={"model": models, **card_files(job.card), "info": info},
        parameters=parameters,
    )
    if work.is_done():
        return read_performance(out)
    work.begin()
    performance = Performance(
        measurements=[],
        environment=environment(),
        versions={"portproof": portproof.__version__},
        simulated=rehearsal.is_active(),
    )
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(contextlib.closing(Worker(f"{job.subject.label}@npu:{d}")))
            for d in job.devices
        ]
        for batch in job.batches:
            performance.measurements += _measure(job, workers, batch)
    performance.reasons = [why for m in performance.measurements for why in reasons(m)]
    performance.status = "unstable" if performance.reasons else "ok"
    write_performance(out, performance)
    work.finish([out], {"status": performance.status, "reasons": performance.reasons})
    return performance


def _measure(job: CardBench, workers: Sequence[Worker], batch: int) -> list[Measurement]:
    """One batch: blocks of the first chip alone and of all chips take turns."""
    feeding = Feeding(job.feeding.kind, job.feeding.info, sample_shapes(job.card))
    for worker, device in zip(workers, job.devices, strict=True):
        request = job.subject.request(batch, job.card)
        request = type(request)(
            batch, f"npu:{device}", request.precision, None, job.card, options=request.options
        )
        worker.send("load", job.subject.backend, str(job.subject.model(batch)), request, feeding)
    loaded: list[Loaded] = [worker.answer() for worker in workers]
    warm = _ask(workers, "warm_up", None)
    calls = job.plan.calls(max(w.call_s for w in warm))
    alone: list[list[Block]] = []
    together: list[list[Block]] = []
    for count in calls:
        alone.append(_ask(workers[:1], "block", count))
        together.append(_ask(workers, "block", count))
    _ask(workers, "unload")
    found = []
    for boundary in loaded[0].boundaries:
        common = {
            "model": str(job.subject.model(batch)),
            "backend": job.subject.backend,
            "batch": batch,
            "boundary": boundary,
            "precision": loaded[0].precision,
            "inputs": job.feeding.kind,
            "provider": loaded[0].provider,
            "simulated": rehearsal.is_active(),
        }
        found.append(
            _one(
                f"{job.subject.label}{ALONE}",
                [[b[0]] for b in alone],
                f"npu:{job.devices[0]}",
                common | {"scope": "alone"},
            )
        )
        for k, device in enumerate(job.devices):
            found.append(
                _one(
                    f"{job.subject.label}@npu:{device}",
                    [[b[k]] for b in together],
                    f"npu:{device}",
                    common,
                )
            )
        found.append(
            _one(
                f"{job.subject.label}{TOGETHER}",
                together,
                "npu:" + "+".join(map(str, job.devices)),
                common | {"scope": "together"},
            )
        )
    return found


def _ask(workers: Sequence[Worker], order: str, *arguments: Any) -> list[Any]:
    """An order goes to all before any answer is awaited."""
    for worker in workers:
        worker.send(order, *arguments)
    return [worker.answer() for worker in workers]


def _one(
    label: str, blocks: Sequence[Sequence[Block]], device: str, common: dict[str, Any]
) -> Measurement:
    """A measurement of one or several chips; several are clients side by side."""
    boundary, chips = common["boundary"], len(blocks[0])
    series = [[round(s, 9) for b in block for s in b.times[boundary]] for block in blocks]
    return Measurement(
        label=label,
        clients=chips,
        chips=chips,
        device=device,
        blocks=series,
        first_calls=[s for block in blocks for b in block for s in b.first[boundary]],
        **common,
    )


def summary(performance: Performance) -> str:
    """The card's rate at each batch and boundary, beside one chip's times the number of chips."""
    lines = (
        [f"{rehearsal.MARK}: a simulated device, nothing here was measured"]
        if performance.simulated
        else []
    )
    for row in board_rows(performance):
        chips = ", ".join(f"{device} {rate or 0:.1f}" for device, rate in row.each.items())
        lines.append(
            f"batch {row.batch}, {row.boundary}: {row.chips} chips together {row.together:.1f}"
            f" images/s ({chips}); one alone {row.alone:.1f}, times {row.chips} ="
            f" {row.product:.1f}; the card does {row.share:.3f} of that"
        )
    return "\n".join([*lines, *(f"unstable: {why}" for why in performance.reasons)])
