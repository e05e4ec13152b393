"""The usual rungs, made from a card and its weights or found in a run directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from portproof import rehearsal
from portproof.convert.export.export import export
from portproof.convert.precision.reduce import ReduceRequest, reduce
from portproof.core.errors import InputError
from portproof.metrics.rungs.rung import Rung
from portproof.rehearsal.aipp import read_aipp
from portproof.rehearsal.om import write_om
from portproof.rundir.layout import REFERENCE, Side, open_run


@dataclass(frozen=True)
class Plan:
    """What is to be made: the weights of ``card``, in ``folder``; a lower precision, the simulated
    engine (``rehearse``), with an AIPP configuration in front of it.
    """

    card: str
    weights: str
    folder: Path
    info: str | None
    precision: str | None
    rehearse: bool
    aipp: str | None


def made_rungs(plan: Plan) -> list[Rung]:
    """Make the forms of a model, each from the one before; the engine from the simplified file, as
    atc takes it. What is up to date is not made again.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    rungs = [Rung("torch", plan.weights, "fp32")]
    for label, simplify in (("onnx", False), ("simplified", True)):
        target = plan.folder / f"{label}.onnx"
        export(plan.weights, target, plan.card, simplify=simplify)
        rungs.append(Rung(label, str(target), "fp32"))
    simplified = Path(rungs[-1].source)
    if plan.precision:
        target = plan.folder / f"{plan.precision}.onnx"
        info = Path(plan.info) if plan.info else None
        reduce(ReduceRequest(simplified, target, plan.precision, info))
        rungs.append(Rung(plan.precision, str(target), plan.precision))
    if plan.aipp and not plan.rehearse:
        raise InputError("--aipp makes a simulated engine: give --rehearse too, or aipp=FILE.om")
    if plan.rehearse:
        rungs.append(Rung("engine", str(_engine(simplified, plan.folder / "engine.om")), "fp16"))
    if plan.aipp:
        target = _engine(simplified, plan.folder / "aipp.om", Path(plan.aipp))
        rungs.append(Rung("aipp", str(target), "fp16"))
    return rungs


def _engine(model: Path, target: Path, aipp: Path | None = None) -> Path:
    """The simulated atc's file: batch 1."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    shapes = {i.name: [1, *i.shape[1:]] for i in session.get_inputs()}
    try:
        before = read_aipp(aipp) if aipp else None
        write_om(model, target, rehearsal.soc_version(), shapes, aipp=before)
    except (ValueError, OSError) as error:
        raise InputError(f"the engine '{target}' cannot be simulated: {error}") from error
    return target


def found_rungs(folder: Path) -> tuple[list[Rung], str]:
    """The rungs of a finished port: the results of the reference, its ONNX file, and the results of
    every compared side; and the label file.
    """
    run = open_run(folder)
    batch = run.accuracy_batch
    reference = folder / run.result(Side(REFERENCE), batch)
    rungs = [Rung("torch", str(reference), "fp32"), Rung("onnx", str(folder / run.onnx), "fp32")]
    for side in run.compared:
        results = folder / run.result(side, batch)
        precision = side.target.precision if side.target else "fp32"
        rungs.append(Rung(side.label, str(results), precision))
    missing = [r for r in rungs if not Path(r.source).exists()]
    if missing:
        raise InputError(
            f"'{missing[0].source}' is missing: finish the port '{folder}' first, its accuracy runs"
            " are the rungs"
        )
    return rungs, str(folder / run.settings.labels)
