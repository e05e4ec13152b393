"""What is wrong with a port of a detector, segmenter or text model: the change of inputs, outputs
or post-processing that gives the port's answers.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from portproof.card import Card
from portproof.core import plugins
from portproof.core.errors import InputError, ToolError
from portproof.metrics.diagnosis.candidates import Candidate
from portproof.metrics.diagnosis.explain import Diagnosis, Fault
from portproof.metrics.diagnosis.likeness import SAME, unlikeness
from portproof.metrics.diagnosis.look import spread
from portproof.metrics.diagnosis.tasks.likeness import Scale, likeness
from portproof.metrics.diagnosis.tasks.search import EXPLAINED, TRIED, Explanation, Finder
from portproof.metrics.diagnosis.tasks.sides import Inputs, Judge, Outputs, Runner, port_outputs
from portproof.metrics.evaluation.task_choice import card_of
from portproof.metrics.tasks import figure_of, load_task
from portproof.metrics.truth import Truth
from portproof.postprocess import Classes, Embedding, Postprocess, read_postprocess
from portproof.verdict import Verdict

#: Samples that are compared by default.
_MOST = 200
#: Predictions are the same from this likeness on, but for a few that one record may explain where
#: they are not entirely.
_ALIKE, _NO_DIFFERENCE = 0.97, 0.9999
#: Figures that differ by less are the same.
_SAME_FIGURE = 0.01
#: Raw outputs that differ by less, by their unlikeness, are the same.
_SAME_OUTPUTS = 1e-4


def diagnose_task(
    name: str,
    reference: str | os.PathLike[str],
    images: str | os.PathLike[str],
    truth_path: str | os.PathLike[str],
    result: str | os.PathLike[str],
    *,
    limit: int | None = None,
    dtype: str = "float32",
) -> Diagnosis:
    """Explain the difference of a port's results, or ready predictions, from the reference's, for a
    task of ``metrics/tasks``, the one of the card ``name``. ``images``: pictures, or
    the texts of a card with a sequence.

    :class:`InputError` when nothing is in common, or the card has no record of post-processing.
    """
    card = card_of(name)
    task = load_task(card.task)
    truth = task.read_truth(Path(truth_path))
    folder = Path(card.path).parent if card.path else Path()
    record = _record(card, task, folder)
    inputs = Inputs(card, Path(images), list(truth.samples))
    if not inputs.ids:
        raise InputError(f"'{images}' and '{truth_path}' have no sample in common; check both")
    at = spread(len(inputs.ids), min(limit or _MOST, len(inputs.ids)))
    inputs.keep(at)
    runner = Runner(Path(reference), name)
    ids = inputs.ids
    right = dict(zip(ids, runner.run(inputs.arrays(len(ids))), strict=True))
    judge = Judge(task, truth, card, folder)
    metric = figure_of(task, card.metric).name
    finder = Finder(card, record, judge, runner, inputs, ids, right, metric)
    kind = plugins.load("portproof.metrics.predictions", task.PREDICTION, "kind of prediction")
    ready, foreign = _ready(kind, Path(result), truth)
    if ready is not None:
        found = _by_predictions(finder, ready)
        if foreign and "class-ids" not in {f.fault for f in found.faults}:
            raise foreign
        return found
    return _by_results(finder, port_outputs(Path(result), card, dtype, ids))


def _record(card: Card, task: Any, folder: Path) -> Postprocess:
    own = card.postprocess
    if isinstance(own, str):
        if ".py:" in own:
            raise InputError(
                f"the card's post-processing is a function ({own}), which cannot be made otherwise;"
                " give a record of 'postprocess' for a diagnosis"
            )
        return read_postprocess(folder / own)
    usual: dict[str, Postprocess] = {"classes": Classes(), "embedding": Embedding()}
    if own is None and task.PREDICTION not in usual:
        raise InputError(f"the card '{card.name}' has no 'postprocess'; add its record")
    return own or usual[task.PREDICTION]


class _Any(dict[Any, Any]):
    """Classes among which every number is."""

    def __contains__(self, key: object) -> bool:
        return True


def _ready(
    kind: Any, result: Path, truth: Truth
) -> tuple[Mapping[str, Any] | None, InputError | None]:
    """Ready predictions, None for raw results; and the refusal of classes that the truth does not
    have, which may be the fault.
    """
    try:
        return kind.read(result, truth), None
    except InputError as error:
        if "classes" not in truth.facts or result.is_dir():
            raise
        facts = {**truth.facts, "classes": _Any(truth.facts["classes"])}
        return kind.read(result, replace(truth, facts=facts)), error


def _by_predictions(finder: Finder, ready: Mapping[str, Any]) -> Diagnosis:
    """Ready predictions: which record, or which input, makes the reference give these."""
    ids = [i for i in finder.ids if i in ready]
    if not ids:
        raise InputError("the predictions have no sample in common with the images; check both")
    theirs = {i: ready[i] for i in ids}
    own = {i: finder.judge.judged(i, p) for i, p in theirs.items()}
    right = {i: finder.right[i] for i in ids}
    ours = finder.judge.predictions(finder.record, right)
    value = finder.figure({i: finder.judge.judged(i, p) for i, p in ours.items()})
    port, plain = finder.judge.answers(theirs), finder.judge.answers(ours)
    alike = likeness(port, plain)
    if alike >= _NO_DIFFERENCE:
        return _told(finder, finder.by_truth(), own, value, alike)
    found = finder.by_records(plain, right, port, list(finder.other_classes(ours, theirs)))
    if min((e.left for e in found), default=1.0) > EXPLAINED:
        if alike >= _ALIKE:
            found = finder.by_truth()
        else:
            found += _inputs_by_predictions(finder, port, plain)
    return _told(finder, found, own, value, alike)


def _inputs_by_predictions(
    finder: Finder, port: Mapping[str, Any], plain: Mapping[str, Any]
) -> list[Explanation]:
    ids = list(port)[:TRIED]
    wanted = {i: port[i] for i in ids}
    before = max(1 - likeness({i: plain[i] for i in ids}, wanted), 1e-9)
    found = []
    for mistake, fix, words in finder.mistakes():
        try:
            at = max(finder.ids.index(i) for i in ids) + 1
            made = finder.runner.run(finder.inputs.arrays(at, mistake))
            outputs = {i: o for i, o in zip(finder.ids, made, strict=False) if i in wanted}
            parts = finder.judge.answers(finder.judge.predictions(finder.record, outputs))
        except (InputError, ToolError):  # it, or the model, makes nothing of these samples
            continue
        left = (1 - likeness(parts, wanted)) / before
        found.append(Explanation(mistake.fault, words, fix, left))
    return found


def _by_results(finder: Finder, port: Mapping[str, Outputs]) -> Diagnosis:
    """Raw results: which input or output makes the reference give these."""
    ids = [i for i in finder.ids if i in port]
    if not ids:
        raise InputError("the results have no sample in common with the images; check both")
    finder.ids = ids
    right = {i: finder.right[i] for i in ids}
    finder.right = right
    ours = finder.judge.predictions(finder.record, right)
    value = finder.figure({i: finder.judge.judged(i, p) for i, p in ours.items()})
    same_shapes = all(
        n in port[i] and port[i][n].shape == array.shape
        for i in ids
        for n, array in right[i].items()
    )
    try:
        made = finder.judge.predictions(finder.record, port)
        own = {i: finder.judge.judged(i, p) for i, p in made.items()}
    except (InputError, ValueError, IndexError, TypeError):  # not in the form of the card
        made, own = {}, {}
    found: list[Explanation] = []
    apart = 1.0
    if same_shapes:
        scale = Scale(right, ids)
        apart = float(unlikeness(scale.rows(port, ids), scale.rows(right, ids)).mean())
        found = finder.by_outputs(port)
    lost = not own or abs(finder.figure(own) - value) > _SAME_FIGURE
    rest = min((e.left for e in found), default=1.0)
    if rest > EXPLAINED and apart > _SAME_OUTPUTS and (lost or apart > SAME):
        answers = finder.judge.answers
        if own or not same_shapes:
            found += finder.by_records(answers(made), port, answers(ours))
    if apart <= _SAME_OUTPUTS and not [e for e in found if e.left <= EXPLAINED]:
        found = finder.by_truth()
    return _told(finder, found, own, value, 1 - apart)


def _told(
    finder: Finder,
    found: list[Explanation],
    port: Mapping[str, Any],
    value: float,
    alike: float,
) -> Diagnosis:
    """The diagnosis of the best explanation, if it explains enough. ``value``: the reference's
    figure; ``alike``: how alike both sides are before any explanation.
    """
    found = sorted(found, key=lambda e: e.left)
    own = finder.figure(port) if port else float("nan")
    faults, candidates = [], [_candidate(e) for e in found[:20]]
    best = found[0] if found and found[0].left <= EXPLAINED else None
    if best is not None:
        near = {e.fault for e in found if e.left <= max(1.1 * best.left, best.left + 1e-3)}
        faults = [_fault(e, value, sorted(near - {best.fault, e.fault}) if e is best else [])
                  for e in (best, best.then) if e is not None]  # fmt: skip
    elif alike < 1 - SAME and not abs(own - value) <= _SAME_FIGURE:
        evidence = f"both sides are alike by {alike:.2g}; nothing that was tried explains it"
        fix = "compare the layers with metrics/layers.py, from the inputs on"
        faults = [Fault(fault="unexplained", evidence=evidence, fix=fix, alike=[],
                        accuracy_after=value)]  # fmt: skip
    if not faults:
        said = f"both sides are alike by {alike:.4g}"
        candidates.append(Candidate("none", alike, said, "nothing to do"))
    return Diagnosis(
        fault=faults[0].fault if faults else "none",
        faults=faults,
        candidates=candidates,
        samples=len(finder.ids),
        results=len(finder.ids),
        reference_accuracy=value,
        port_accuracy=None if np.isnan(own) else own,
        verdict=Verdict.FAIL if faults else Verdict.PASS,
        figure=finder.metric,
    )


def _candidate(e: Explanation) -> Candidate:
    return Candidate(e.fault, max(0.0, 1 - e.left), e.evidence, e.fix)


def _fault(e: Explanation, value: float, alike: list[str]) -> Fault:
    after = value if e.after is None else e.after
    return Fault(fault=e.fault, evidence=e.evidence, fix=e.fix, alike=alike, accuracy_after=after)
