"""The figures of a task, from predictions or results: ``result.json`` and ``outcomes.npz``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from portproof.core.errors import InputError
from portproof.core.files import write_bytes
from portproof.core.text import listed, printable
from portproof.metrics.accuracy.score import is_simulated
from portproof.metrics.evaluation.contributions import About, Contributions, write_outcomes
from portproof.metrics.evaluation.origin import (
    Decoding,
    Ground,
    contributions_from,
    source_inputs,
)
from portproof.metrics.tasks import Figure, figure_of
from portproof.proof.sidecar import read_proof, stored_path
from portproof.proof.work import Work

_WORST_SHOWN = 10


class Value(msgspec.Struct, frozen=True):
    """A figure: ``value`` is null where it is not defined; ``unit`` is ``1`` for a share."""

    name: str
    value: float | None
    unit: str
    higher_is_better: bool


class WorstSample(msgspec.Struct, frozen=True):
    """A sample and the judged figure of it alone."""

    id: str
    value: float


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one side. ``metric``: the judged one; ``worst``: the samples that have it
    worst, each by itself; ``left_out``: samples of the truth without a prediction.
    """

    task: str
    metric: str
    figures: list[Value]
    samples: int
    worst: list[WorstSample]
    left_out: list[str]
    result: str
    truth: str
    simulated: bool = False
    schema: Literal["portproof.evaluation/1"] = "portproof.evaluation/1"

    def to_json(self) -> bytes:
        """The JSON text, indented, with a newline at the end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The figures for people."""
        lines = ["REHEARSAL: the results are simulated"] if self.simulated else []
        width = max(len(value.name) for value in self.figures)
        lines += [f"{v.name:{width}}  {_figure(v).text(v.value)}" for v in self.figures]
        lines.append(f"{self.task}, {self.samples} samples")
        if self.worst:
            own = next(v for v in self.figures if v.name == self.metric)
            worst = [f"{printable(w.id)} {_figure(own).text(w.value)}" for w in self.worst[:5]]
            lines.append(f"worst by {self.metric}: {', '.join(worst)}")
        if self.left_out:
            lines.append(
                f"MISSING: {len(self.left_out)} samples of the truth have no prediction and are in"
                f" no figure ({listed(self.left_out)})"
            )
        return "\n".join(lines)


def _figure(value: Value) -> Figure:
    return Figure(value.name, value.unit, value.higher_is_better)


def evaluate(
    result: str | os.PathLike[str],
    truth: str | os.PathLike[str],
    task: str,
    *,
    metric: str | None = None,
    decoding: Decoding | None = None,
    allow_missing: bool = False,
    out: str | os.PathLike[str] | None = None,
    outcomes: str | os.PathLike[str] | None = None,
    simulated: bool = False,
) -> Evaluation:
    """The figures of ``result``: ready predictions, a result folder (with post-processing), or
    outcomes.

    Writes the JSON to ``out`` and the contributions to ``outcomes``, where given, and the sidecar
    of the first of them; asked again with the same inputs it says so and gives what it wrote.
    :class:`InputError` as of
    :func:`portproof.metrics.evaluation.origin.contributions_from`.
    """
    ground = Ground(task, Path(truth), allow_missing)
    figure = figure_of(ground.module, metric)
    decoding = decoding or Decoding()
    simulated = simulated or is_simulated(Path(result))
    targets = [Path(path) for path in (out, outcomes) if path is not None]
    if not targets:
        return evaluation_of(Path(result), ground, decoding, figure, simulated)[0]
    _refuse_targets(Path(result), Path(truth), targets)
    work = _work(Path(result), ground, decoding, figure, targets=targets, simulated=simulated)
    if work.is_done():
        return msgspec.convert(read_proof(work.sidecar).facts["evaluation"], Evaluation)
    work.begin()
    evaluation, found, about = evaluation_of(Path(result), ground, decoding, figure, simulated)
    if out is not None:
        write_bytes(out, evaluation.to_json())
    if outcomes is not None:
        write_outcomes(outcomes, found, about)
    work.finish(targets, facts={"evaluation": msgspec.to_builtins(evaluation)})
    return evaluation


def _refuse_targets(result: Path, truth: Path, targets: Sequence[Path]) -> None:
    for target in targets:
        for source in (result, truth):
            place, other = target.resolve(), source.resolve()
            if place == other or (source.is_dir() and place.is_relative_to(other)):
                raise InputError(
                    f"'{target}' would be written into '{source}', which is read; write it"
                    " elsewhere"
                )


def _work(
    result: Path,
    ground: Ground,
    decoding: Decoding,
    figure: Figure,
    *,
    targets: Sequence[Path],
    simulated: bool,
) -> Work:
    files, parameters = source_inputs("result", result)
    work = Work(
        "evaluate",
        targets[0],
        inputs={"truth": ground.files(), "postprocess": decoding.files(ground.module), **files},
        parameters=parameters | decoding.parameters(ground.module),
        packages=("numpy", *getattr(ground.module, "PACKAGES", ())),
        simulated=simulated,
    )
    work.parameters |= {
        "task": ground.task,
        "metric": figure.name,
        "allow_missing": ground.allow_missing,
        "written": [stored_path(target, work.root) for target in targets],
    }
    return work


def evaluation_of(
    result: Path, ground: Ground, decoding: Decoding, figure: Figure, simulated: bool
) -> tuple[Evaluation, Contributions, About]:
    """The figures, and what every sample adds, of one side; nothing is written.

    :class:`InputError` as of :func:`portproof.metrics.evaluation.origin.contributions_from`.
    """
    found, about = contributions_from(result, ground, decoding, simulated)
    values = figures_of(ground.module, found)
    evaluation = Evaluation(
        task=ground.task,
        metric=figure.name,
        figures=[
            Value(f.name, values[f.name], f.unit, f.higher_is_better) for f in ground.module.FIGURES
        ],
        samples=len(found),
        worst=_worst(ground.module, found, figure),
        left_out=list(about.left_out),
        result=str(result),
        truth=str(ground.truth),
        simulated=simulated or about.simulated,
    )
    return evaluation, found, about


def figures_of(task: Any, found: Contributions) -> dict[str, float | None]:
    """All figures, each sample counted once; what is not finite is not defined."""
    values: dict[str, float | None] = task.figures(found, np.ones(len(found), np.int64))
    return {name: finite(value) for name, value in values.items()}


def figure_value(task: Any, name: str, found: Contributions, counts: Any) -> float | None:
    """One figure, by the task's own short way where it has one."""
    alone = getattr(task, "figure", None)
    value = alone(name, found, counts) if alone else task.figures(found, counts)[name]
    return finite(value)


def finite(value: float | None) -> float | None:
    """A number that JSON can hold, None for any other."""
    return float(value) if value is not None and math.isfinite(value) else None


def own_figure(task: Any, name: str, found: Contributions, position: int) -> float | None:
    """The figure of one sample alone."""
    return found.once(
        f"own/{name}/{position}",
        lambda: figure_value(task, name, found.take([position]), np.ones(1, np.int64)),
    )


def _worst(task: Any, found: Contributions, figure: Figure) -> list[WorstSample]:
    own = [(own_figure(task, figure.name, found, i), i) for i in range(len(found))]
    sign = 1 if figure.higher_is_better else -1
    ranked = sorted((sign * value, i) for value, i in own if value is not None)
    return [WorstSample(found.ids[i], sign * value) for value, i in ranked[:_WORST_SHOWN]]
