"""The ladder as a whole: made, run, judged, and told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.manifest import Sample, read_info, write_info
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.rungs.answers import Answers, answers_of
from portproof.metrics.rungs.build import Plan, found_rungs, made_rungs
from portproof.metrics.rungs.climb import Found, Ruler, climb
from portproof.metrics.rungs.rung import Rung, rung_of, standing
from portproof.preprocess.cards.resolve import resolve_card
from portproof.rehearsal import MARK
from portproof.rundir.layout import RunDir
from portproof.rundir.settings import FILE


@dataclass(frozen=True, slots=True)
class LadderRequest:
    """What ``metrics/ladder.py`` is asked; the options as its help explains them."""

    card: str
    rungs: tuple[str, ...] = ()
    weights: str | None = None
    info: str | None = None
    infos: tuple[str, ...] = ()
    labels: str | None = None
    out: str = "ladder"
    precision: str | None = None
    rehearse: bool = False
    aipp: str | None = None


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """``fault``: the label of the first rung at fault, null for none; ``faults``: all of them."""

    fault: str | None
    faults: list[str]
    samples: int
    rehearsal: bool
    rungs: list[Found]

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """A row a rung, then the sentence."""
        mark = f"{MARK}: the engine is simulated. " if self.rehearsal else ""
        rows = [
            f"{mark}{self.samples} samples; each rung against the one before it, and the first",
            "",
            f"   {'rung':12s} {'accuracy':>9s} {'flips':>12s} {'loss, pp':>18s}  error",
        ]
        for rung in self.rungs:
            accuracy = "-" if rung.accuracy is None else f"{100 * rung.accuracy:.2f} %"
            flips = loss = "-"
            if rung.before and rung.first:
                flips = f"{rung.before.flips} / {rung.first.flips}"
                if rung.before.loss_pp is not None and rung.first.loss_pp is not None:
                    loss = f"{rung.before.loss_pp:+.2f} / {rung.first.loss_pp:+.2f}"
            rows.append(
                f"{'->' if rung.at_fault else '  '} {rung.label:12s} {accuracy:>9s} {flips:>12s}"
                f" {loss:>18s}  {rung.why}"
            )
        return "\n".join([*rows, "", self._sentence()])

    def _sentence(self) -> str:
        if self.fault is None:
            return "no rung is at fault: what changes is what rounding explains"
        if len(self.faults) == 1:
            return f"the rung at fault is '{self.fault}'"
        return f"the first rung at fault is '{self.fault}'; also: {', '.join(self.faults[1:])}"


def ladder(request: LadderRequest) -> Ladder:
    """Run the samples through every rung and name the one at fault; the JSON is written to the
    folder ``out``. What is there and up to date is not run again.
    """
    folder = Path(request.out)
    labels, card = request.labels, None
    made: list[Rung] = []
    given = [rung_of(text) for text in request.rungs]
    info = request.info
    if (Path(request.card) / FILE).is_file():
        made, own_labels = found_rungs(Path(request.card))
        labels = labels or own_labels
        info = info or _info_of(Path(request.card), folder)
    else:
        card = request.card
        _check_task(card)
        if request.weights:
            made = made_rungs(
                Plan(
                    card, request.weights, folder, info, request.precision, request.rehearse,
                    request.aipp,
                )
            )  # fmt: skip
    rungs = standing(made, given, request.infos)
    answers: list[Answers] = []
    with progress.meter("ladder", len(rungs), "rungs") as meter:
        for rung in rungs:
            answers.append(answers_of(rung, answers[-1] if answers else None, folder, info, card))
            meter.advance(1)
    truth = read_labels(labels) if labels else None
    found = climb(answers, truth, _ruler(rungs, info))
    faults = [rung.label for rung in found if rung.at_fault]
    result = Ladder(
        fault=faults[0] if faults else None,
        faults=faults,
        samples=len(answers[0].ids),
        rehearsal=any(rung.rehearsal for rung in found),
        rungs=found,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "ladder.json", result.to_json() + "\n")
    return result


def _check_task(card: str) -> None:
    task = resolve_card(card).task
    if task != "classification":
        raise InputError(
            f"the model card '{card}' is of the task {task}: the ladder judges classifiers; compare"
            " its rungs in pairs with metrics/compare.py --task"
        )


def _info_of(folder: Path, out: Path) -> str | None:
    """The run directory's info list, whose paths are relative to it, with paths from here."""
    path = folder / RunDir.info
    if not path.is_file():
        return None
    samples = [
        replace(s, files=tuple(str((folder / f).absolute()) for f in s.files))
        for s in read_info(path)
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_info(out / "samples.info", samples)
    return str(out / "samples.info")


def _ruler(rungs: list[Rung], info: str | None) -> Ruler:
    """The first fp32 ONNX file is what is rounded."""
    model = next(
        (Path(r.source) for r in rungs if r.source.endswith(".onnx") and r.precision == "fp32"),
        None,
    )
    samples: list[Sample] = read_info(info) if info else []
    return Ruler(model, samples)
