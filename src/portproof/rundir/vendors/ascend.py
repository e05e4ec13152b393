"""Ascend devices: check, convert, infer for accuracy, and time every batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portproof.core.errors import InputError
from portproof.core.shell import find_program
from portproof.measurement import Boundary
from portproof.rundir.layout import RunDir, Side
from portproof.rundir.plan import batch_words, infer, measured
from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, words
from portproof.target import Target

BOUNDARY: Boundary = "device"
OPTIONS = ("runner", "devices", "tune")
CAN_REHEARSE = True


def sides(settings: Settings, target: Target) -> list[Side]:
    """The target, and with ``--tune`` the tuned model, which is a column of its own."""
    tuned = [Side(target.name, target, tuned=True)] if settings.tune else []
    return [Side(target.name, target), *tuned]


def steps(run: RunDir, target: Target) -> Iterator[Step]:
    """Write down what the device's host must know of the model, check the devices, convert, and
    infer the whole set.
    """
    if target == next(t for t in run.targets if t.vendor == target.vendor):
        yield Step(
            "model card",
            "card",
            words(run.settings.model, run.card),
            makes=(run.card,),
            portable=True,
        )
    devices = run.settings.devices
    check = words("--target", target.name, "--device", *devices)
    yield Step(f"device {target.name}", "npu_check", check, needs=target.name)
    for side in run.sides_of(target):
        yield Step(
            f"convert {side.label}",
            "onnx2om",
            words(
                *(run.onnx, run.folder(side, "{batch}"), "--target", target.name),
                *(*batch_words(run), *(["--tune"] if side.tuned else [])),
            ),
            reads=(run.onnx,),
            makes=tuple(_model(run, side, batch) for batch in run.settings.batches),
            needs=target.name,
        )
    for batch in run.accuracy_batches:
        yield from _accuracy(run, run.sides_of(target)[0], batch)


def _accuracy(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    devices, model = run.settings.devices, _model(run, side, batch)
    several = len(devices) > 1
    named = ("--devices", *devices) if several else ("--device", f"npu:{devices[0]}")
    where = words(*named, *_runner(run))
    step = infer(run, side, model, batch, where=where, device=None if several else devices[0])
    yield replace(step, needs=side.name)
    yield from measured(run, side, batch)


def benches(run: RunDir, target: Target) -> Iterator[Step]:
    """Time every batch, by the runner's pure inference or in this process; then the chips of a
    board together.
    """
    devices = run.settings.devices
    for side in run.sides_of(target):
        alone = ("--device", f"npu:{devices[0]}")
        yield _bench(run, side, run.settings.runner, alone, run.perf(side))
        if boards(run, target):
            step = _bench(run, side, "om", words("--devices", *devices), run.board(side))
            yield replace(step, name=f"card {side.label}", show=True)


def lacking() -> str:
    """What of the device's programs this host lacks; empty if it has them."""
    try:
        find_program(["npu-smi"])
    except InputError:
        return "npu-smi"
    return ""


def boards(run: RunDir, target: Target) -> bool:
    """Whether several chips were named."""
    return len(run.settings.devices) > 1


def _bench(run: RunDir, side: Side, runner: str, where: tuple[str, ...], out: str) -> Step:
    subject = f"{side.label}={runner}:{_model(run, side, '{batch}')}"
    inputs = () if runner == "om" else ("--info", run.info)  # a vendor tool reads real samples
    return Step(
        f"bench {side.label}",
        "bench",
        words(subject, *batch_words(run), "--model", run.card, *inputs, *where, "--out", out),
        reads=(
            run.card,
            *inputs[1:],
            *(_model(run, side, batch) for batch in run.settings.batches),
        ),
        makes=(out,),
        accepted=VERDICTS,
        needs=side.name,
    )


def _model(run: RunDir, side: Side, batch: int | str) -> str:
    return run.model(side, batch, "model", ".om")


def _runner(run: RunDir) -> tuple[str, ...]:
    return () if run.settings.runner == "om" else ("--runner", run.settings.runner)
