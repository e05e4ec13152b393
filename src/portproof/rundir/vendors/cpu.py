"""The processor of this host: a backend runs the ONNX file, in turn with the reference."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.measurement import Boundary
from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.plan import batch_words, infer, measured
from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, words
from portproof.target import Target

BOUNDARY: Boundary = "call"
OPTIONS: tuple[str, ...] = ()
CAN_REHEARSE = True


def sides(settings: Settings, target: Target) -> list[Side]:
    """One side, named after the backend."""
    return [Side(target.backend, target)]


def steps(run: RunDir, target: Target) -> Iterator[Step]:
    """Infer the whole set."""
    side, batch = run.sides_of(target)[0], run.accuracy_batch
    yield infer(run, side, run.onnx, batch, backend=side.label)
    yield from measured(run, side, batch)


def benches(run: RunDir, target: Target) -> Iterator[Step]:
    """Time every batch in turn with the reference."""
    side, weights = run.sides_of(target)[0], run.settings.weights
    subjects = f"{side.label}={side.label}:{run.onnx}", f"{REFERENCE}={REFERENCE}:{weights}"
    yield Step(
        f"bench {side.label}",
        "bench",
        words(*subjects, *batch_words(run), "--model", run.settings.model, "--out", run.perf(side)),
        reads=(run.onnx, weights),
        makes=(run.perf(side),),
        accepted=VERDICTS,
    )


def boards(run: RunDir, target: Target) -> bool:
    """A processor is timed as a whole."""
    return False
