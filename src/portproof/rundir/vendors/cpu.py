"""The processor of this host: backends run the ONNX file, or one of lower precision, in turn with
each other and with the reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portproof import backend as backends
from portproof.core.errors import MissingPackageError
from portproof.measurement import Boundary
from portproof.proof.sidecar import versions_of
from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.plan import batch_words, infer, measured, reduce
from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, words
from portproof.target import Target

BOUNDARY: Boundary = "call"
OPTIONS = ("starts",)
CAN_REHEARSE = True


def sides(settings: Settings, target: Target) -> list[Side]:
    """One side, named after the backend, and the precision where that is not fp32."""
    precision = "" if target.precision == "fp32" else f"_{target.precision}"
    return [Side(f"{target.backend}{precision}", target)]


def check(target: Target) -> None:
    """:class:`InputError` when the backend's package is not on this host."""
    for package in backends.find(target.backend).PACKAGES:
        if package not in versions_of([package]):
            raise MissingPackageError(package, f"the target '{target.name}'", target.backend)


def steps(run: RunDir, target: Target) -> Iterator[Step]:
    """Reduce the precision if there is one to reduce, and infer the whole set."""
    side, batch, model = run.sides_of(target)[0], run.accuracy_batch, run.reduced(target.precision)
    if model != run.onnx:
        yield reduce(run, side, target.precision)
    packages = backends.find(target.backend).PACKAGES
    yield replace(infer(run, side, model, batch, backend=target.backend), imports=packages)
    yield from measured(run, side, batch)


def benches(run: RunDir, target: Target) -> Iterator[Step]:
    """Time every batch of all sides in turn with the reference, in one bench: only what was timed
    in one alternation has a ratio. Beside int8, inputs are real, since its ranges are those of
    samples; so are samples that are ready, since a token id drawn at random need not be one.
    """
    sides, weights = run.alternated, run.settings.weights
    if target != sides[0].target:
        return
    models = {side.label: run.reduced(_target(side).precision) for side in sides}
    subjects = [f"{side.label}={_target(side).backend}:{models[side.label]}" for side in sides]
    over = ("--over", ",".join(run.bases)) if len(sides) > 1 else ()
    ready = run.settings.samples or run.settings.encoded
    starts = ("--starts", run.settings.starts) if run.settings.starts else ()
    inputs = ("--info", run.info) if len({*models.values()}) > 1 or ready else ()
    yield Step(
        f"bench {sides[0].label}",
        "bench",
        words(
            *(*subjects, f"{REFERENCE}={REFERENCE}:{weights}", *batch_words(run)),
            *("--model", run.settings.model, *inputs, *over, *starts),
            *("--out", run.perf(sides[0])),
        ),
        reads=(*dict.fromkeys(models.values()), *inputs[1:], weights),
        makes=(run.perf(sides[0]),),
        accepted=VERDICTS,
    )


def boards(run: RunDir, target: Target) -> bool:
    """A processor is timed as a whole."""
    return False


def _target(side: Side) -> Target:
    assert side.target is not None  # the reference is no side of a target
    return side.target
