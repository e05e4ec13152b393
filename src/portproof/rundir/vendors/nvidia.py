"""NVIDIA GPUs: reduce the precision, build engines, infer, and time by trtexec."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from portproof.core.errors import InputError
from portproof.core.shell import find_program
from portproof.host.tensorrt_versions import PROGRAM_FOLDERS
from portproof.measurement import Boundary
from portproof.rundir.layout import RunDir, Side
from portproof.rundir.plan import batch_words, infer, measured, reduce
from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, words
from portproof.target import Target

BOUNDARY: Boundary = "device"
OPTIONS: tuple[str, ...] = ()
CAN_REHEARSE = False


def sides(settings: Settings, target: Target) -> list[Side]:
    """One side: the target."""
    return [Side(target.name, target)]


def steps(run: RunDir, target: Target) -> Iterator[Step]:
    """Reduce the precision, build the engines, and infer the whole set."""
    side, precision = run.sides_of(target)[0], target.precision
    model = run.reduced(precision)
    if precision != "fp32":
        # The file has the precision for every version of TensorRT: 11 takes it from nowhere else.
        yield reduce(run, side, precision)
    yield Step(
        f"convert {side.label}",
        "onnx2trt",
        words(model, run.folder(side, "{batch}"), *batch_words(run), "--precision", precision),
        reads=(model,),
        makes=tuple(_engine(run, side, batch) for batch in run.settings.batches),
        needs=target.name,
    )
    for batch in run.accuracy_batches:
        step = infer(run, side, _engine(run, side, batch), batch, backend=target.backend)
        yield replace(step, needs=target.name)
        yield from measured(run, side, batch)


def benches(run: RunDir, target: Target) -> Iterator[Step]:
    """Time every batch."""
    side = run.sides_of(target)[0]
    yield Step(
        f"bench {side.label}",
        "bench",
        words(
            *(f"{side.label}=trtexec:{_engine(run, side, '{batch}')}", *batch_words(run)),
            *("--out", run.perf(side)),
        ),
        reads=tuple(_engine(run, side, batch) for batch in run.settings.batches),
        makes=(run.perf(side),),
        accepted=VERDICTS,
        needs=target.name,
    )


def lacking() -> str:
    """What of the device's programs this host lacks; empty if it has them."""
    try:
        find_program(["trtexec"], PROGRAM_FOLDERS)
    except InputError:
        return "trtexec"
    return ""


def boards(run: RunDir, target: Target) -> bool:
    """A board has one GPU."""
    return False


def _engine(run: RunDir, side: Side, batch: int | str) -> str:
    assert side.target is not None  # the reference has no engine
    stem = PurePath(run.reduced(side.target.precision)).stem
    return run.model(side, batch, stem, ".plan")
