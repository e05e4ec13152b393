"""The plan of a port: which commands run, in which order, in the run directory.

Every step is a command that a user could type there; the report prints exactly these. Steps are
made one by one, because later ones read what earlier ones wrote. What differs by vendor is in
:mod:`portproof.rundir.vendors`, what differs by task in :mod:`portproof.rundir.tasks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import msgspec

from portproof.card import BY_METRIC, task_names
from portproof.core import plugins
from portproof.core.errors import InputError
from portproof.measurement import Boundary
from portproof.proof.sidecar import proof_of
from portproof.recipe import Recipe
from portproof.rundir import examples
from portproof.rundir.layout import REFERENCE, PartDir, RunDir, Side, vendor_of
from portproof.rundir.parts import part_outputs
from portproof.rundir.step import VERDICTS, Step, words

_TASKS = "portproof.rundir.tasks"


def task_of(run: RunDir) -> ModuleType:
    """The module of the port's task: its own, else that of all tasks with a metric. A part of
    several models is judged by its outputs.
    """
    if isinstance(run, PartDir):
        return part_outputs
    task = run.settings.task
    own = task in plugins.names(_TASKS) or task not in task_names()
    return plugins.load(_TASKS, task if own else BY_METRIC, "task")


def steps(run: RunDir, workers: int | None = None, baseline: Path | None = None) -> Iterator[Step]:
    """The steps of a port; with a ``baseline``, the run is judged against it at the end."""
    if run.settings.demonstration:
        yield from examples.steps(run)
    if run.settings.parts:
        yield from plugins.load("portproof.rundir.parts", "several", "plan").steps(run, workers)
        return
    yield from prepared(run, workers)
    reference, batch = Side(REFERENCE), run.accuracy_batch
    yield infer(run, reference, run.settings.weights, batch, backend=REFERENCE)
    yield from measured(run, reference, batch)
    for target in run.targets:
        yield from vendor_of(target).steps(run, target)
    for target in run.targets:
        yield task_of(run).compare(run, run.sides_of(target)[0])
        yield from vendor_of(target).benches(run, target)
    boundary = table_boundary(run)
    chosen = ["--boundary", boundary] if boundary else []
    over = ["--over", ",".join(bases)] if (bases := table_over(run)) else []
    table = words(*table_columns(run), *chosen, *over, "--out", run.table)
    timed = tuple(map(run.perf, run.benched))
    yield Step("table", "table", table, reads=timed, show=True, reports=True)
    compared = tuple(map(run.comparison, run.compared))
    yield Step("report", "report", (".",), reads=(*compared, *timed), reports=True)
    if baseline is not None:
        against = words(".", baseline)
        yield Step("against", "against", against, accepted=VERDICTS, show=True, decides=True)


def export(run: RunDir) -> Step:
    """From the weights to the ONNX file."""
    weights = run.settings.weights
    return Step(
        "export",
        "export",
        words(weights, run.onnx, "--model", run.settings.model),
        reads=(weights,),
        makes=(run.onnx,),
        portable=True,
        imports=("torch",),
    )


def prepared(run: RunDir, workers: int | None) -> Iterator[Step]:
    """From the weights and the images to the ONNX file and the samples."""
    images, card = run.settings.images, run.settings.model
    spread = ("--workers", workers) if workers else ()
    if run.settings.samples:
        yield _ready(run)
    yield export(run)
    if exported := getattr(task_of(run), "exported", None):
        exported(run)
    if run.settings.samples:
        return
    if run.settings.encoded:
        yield examples.encode(card, images, run.prep, run.info)
        return
    yield Step(
        "preprocess",
        "preprocess",
        words(images, run.prep, "--model", card, *spread),
        reads=(images,),
        makes=(run.prep,),
        portable=True,
    )
    size = sample_size(run.root / run.prep)
    if size is None:  # a step before failed: no step but reports is done any more
        return
    yield Step(
        "info",
        "get_info",
        words("bin", run.prep, run.info, *size),
        reads=(run.prep,),
        makes=(run.info,),
    )


def _ready(run: RunDir) -> Step:
    """Samples that are ready are checked before anything long runs."""
    given, root = run.settings.samples, run.settings.samples_root
    return Step(
        "samples",
        "samples",
        words(*given, "--model", run.settings.model, "--root", root, "--out", run.prep, run.info),
        reads=given,
        makes=(run.prep, run.info),
        portable=True,
    )


def infer(
    run: RunDir,
    side: Side,
    model: str,
    batch: int,
    *,
    backend: str | None = None,
    where: Sequence[str] = (),
    device: int | None = 0,
) -> Step:
    """The accuracy run of a side at a batch: by a backend, or as the words ``where`` ask for.
    ``device``: the number in the name of the perf file; None: no such file, the run has several.
    """
    result = run.result(side, batch)
    by, card = (["--backend", backend], ["--model", run.settings.model]) if backend else ([], [])
    perf = [] if device is None else ["--perf-file", run.perf_file(side, batch, device)]
    form = ["--format", "pack"] if run.settings.packed else []
    start = words(model, "--info", run.info, "--out", result, *by, "--batch", batch, *form)
    return Step(
        f"infer {side.step_name(batch)}",
        "infer",
        words(*start, *where, *card, *perf),
        reads=(model, run.info),
        makes=(result,),
        portable=side.is_in_alternation,
        imports=("torch",) if side.name == REFERENCE else (),
    )


def reduce(run: RunDir, side: Side, precision: str) -> Step:
    """The ONNX file of a lower precision; int8 is calibrated on samples of the port."""
    model = run.reduced(precision)
    return Step(
        f"reduce {side.label}",
        "quantize",
        words(run.onnx, model, "--precision", precision, "--info", run.info),
        reads=(run.onnx, run.info),
        makes=(model,),
        portable=True,
    )


def measured(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    """The steps that make the figures of an accuracy run."""
    steps: Iterator[Step] = task_of(run).measure(run, side, batch)
    yield from steps


def paired(run: RunDir, side: Side, *options: str) -> Step:
    """The step that compares the outcomes of a side with the reference's, sample by sample."""
    labels, batch = run.settings.labels, run.accuracy_batch
    tables = run.outcomes(Side(REFERENCE), batch), run.outcomes(side, batch)
    out = run.comparison(side)
    return Step(
        f"compare {side.label}",
        "compare",
        words(*tables, labels, *options, "--out", out),
        reads=(*tables, labels),
        makes=(out,),
        accepted=VERDICTS,
        show=True,
    )


def batch_words(run: RunDir) -> tuple[str, str]:
    """The option that names every batch to bench."""
    return "--batch", ",".join(map(str, run.settings.batches))


def table_columns(run: RunDir) -> list[str]:
    """The columns of the comparison table as ``table`` takes them: each side, the chips of its
    board together if they were timed so, then the reference as it was timed with the first that was
    timed against it. A device is timed alone, since its host's processor cannot be compared with
    it.
    """
    columns, reference = [], []
    for target in run.targets:
        for side in run.sides_of(target):
            columns.append(f"{side.label}={run.perf(side)}")
            if vendor_of(target).boards(run, target):
                columns.append(f"{side.label} card={run.board(side)}")
        if vendor_of(target).BOUNDARY == "call":
            reference.append(f"{REFERENCE}={run.perf(run.sides_of(target)[0])}")
    return [*columns, *reference[:1]]


def table_boundary(run: RunDir) -> Boundary | None:
    """The timing boundary of the table: the device's own where every target is timed by a vendor's
    runtime; the host call where one is not, which vendor tools do not know; None, the boundary that
    each column has, where there is no choice.
    """
    alone = [vendor_of(target).BOUNDARY == "device" for target in run.targets]
    return "device" if all(alone) else "call" if any(alone) else None


def table_over(run: RunDir) -> list[str]:
    """The columns that the table's ratios are over; none: the table's own choice, where one side at
    most was timed in alternation with the reference.
    """
    return run.bases if len(run.alternated) > 1 else []


def sample_size(prep: Path) -> tuple[int, int] | None:
    """Width and height of the preprocessed samples, in pixels, from the preprocessing's sidecar;
    None if there is none yet.
    """
    proof = proof_of(prep)
    if proof is None:
        return None
    if "recipe" not in proof.parameters:
        raise InputError(
            f"'{prep}' has no sidecar with the shape of its samples; delete it and start again"
        )
    recipe = msgspec.convert(proof.parameters["recipe"], Recipe)
    height, width = recipe.shape[:2] if recipe.layout == "NHWC" else recipe.shape[1:]
    return width, height
