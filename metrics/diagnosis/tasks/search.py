"""Changes of inputs, outputs or post-processing that may give the answers of the port."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from portproof.card import Card
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.metrics.diagnosis.likeness import SAME, Rows, unlikeness, unlikeness_matrix
from portproof.metrics.diagnosis.tasks import inputs as token_inputs
from portproof.metrics.diagnosis.tasks import outputs as made_outputs
from portproof.metrics.diagnosis.tasks.fields import Change, changes
from portproof.metrics.diagnosis.tasks.likeness import Scale, likeness, most_different
from portproof.metrics.diagnosis.tasks.partners import classes_of
from portproof.metrics.diagnosis.tasks.sides import Inputs, Judge, Outputs, Runner
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.evaluation.evaluate import figures_of
from portproof.postprocess import COCO80, Postprocess
from portproof.preprocess.mistakes.usual import usual_mistakes

#: Pictures and texts that mistakes are tried on.
_FEW, TRIED = 4, 24
#: Samples that records are judged on by the truth.
_JUDGED = 40
#: A fault leaves at most this share of the difference.
EXPLAINED = 0.12
#: So much better must a figure become.
_BETTER = 0.05
#: First faults of two, and what the first may leave.
_FIRSTS, _PARTLY = 3, 0.9


@dataclass(frozen=True)
class Explanation:
    """One explanation. ``left``: the share of the difference that it leaves; ``after``: the figure
    once it is mended, None for the reference's.
    """

    fault: str
    evidence: str
    fix: str
    left: float
    after: float | None = None
    then: Explanation | None = None


@dataclass
class Finder:
    """The reference's outputs and what is compared with them."""

    card: Card
    record: Postprocess
    judge: Judge
    runner: Runner
    inputs: Inputs
    ids: list[str]
    right: dict[str, Outputs]
    metric: str

    def figure(self, parts: Mapping[str, Any]) -> float:
        """The judged figure of contributions; NaN where it is not defined."""
        found = Contributions.of(list(parts), list(parts.values()))
        value = figures_of(self.judge.task, found)[self.metric]
        return float("nan") if value is None else value

    def records(self) -> Iterator[Change]:
        """Records with one field changed."""
        yield from self._changes(self.record)

    def other_classes(self, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[Change]:
        """The record with the class ids that the other side's predictions have."""
        asked = getattr(self.record, "class_ids", None)
        named = classes_of(ours, theirs) if asked is not None else {}
        if not named or not self._classes():
            return
        own: Sequence[int] = COCO80 if asked == "coco80" else range(self._classes())
        own = asked if isinstance(asked, tuple) else own
        found = tuple(named.get(i, i) for i in own)
        record = msgspec.structs.replace(self.record, class_ids=found)
        yield Change("class_ids", asked, found, record)

    def _changes(self, record: Postprocess) -> Iterator[Change]:
        recipe = self.card.preprocessing if self.card.recipe is not None else None
        kept = recipe is not None and recipe.resize is not None and recipe.resize.rule != "exact"
        yield from changes(record, self._classes(), kept if recipe else None)

    def _classes(self) -> int:
        """How many classes the outputs have, as far as their shape tells."""
        shape = self.card.outputs[0].shape or ()
        kind = type(self.record).__name__
        if kind == "LabelMap" and len(shape) == 3:
            return int(shape[getattr(self.record, "axis", 0)])
        if kind == "Classes":
            return int(shape[-1])
        if kind in ("Boxes", "Masks", "Keypoints") and len(shape) == 2:
            columns = shape[0] if getattr(self.record, "transposed", False) else shape[1]
            ready = getattr(self.record, "columns", "") == "score_label"
            return 0 if ready else int(columns) - 4 - bool(getattr(self.record, "objectness", 0))
        return 0

    def by_outputs(self, port: Mapping[str, Outputs]) -> list[Explanation]:
        """Faults of inputs and outputs, by the raw outputs of both sides."""
        scale = Scale(self.right, self.ids)
        theirs, ours = scale.rows(port, self.ids), scale.rows(self.right, self.ids)
        before = float(unlikeness(theirs, ours).mean())
        if before <= 1e-9:
            return []
        found = _mixed(theirs, ours, self.ids)
        few = self.ids[:TRIED]
        first = {i: self.right[i] for i in few}
        whole = float(unlikeness(theirs[:TRIED], ours[:TRIED]).mean()) or before
        found += self._of_outputs(first, theirs[:TRIED], scale, whole)
        tried = self._of_inputs(port, scale)
        found += [e for e, _ in tried]
        if min((e.left for e in found), default=1.0) > EXPLAINED:
            for one, made in sorted(tried, key=lambda t: t[0].left)[:_FIRSTS]:
                ids = list(made)
                part = scale.rows(port, ids)
                whole = float(unlikeness(part, scale.rows(self.right, ids)).mean())
                for second in self._of_outputs(made, part, scale, whole):
                    found.append(Explanation(one.fault, one.evidence, one.fix, second.left,
                                             None, second))  # fmt: skip
        return found

    def _of_outputs(
        self, right: Mapping[str, Outputs], theirs: Rows, scale: Scale, before: float
    ) -> list[Explanation]:
        found = []
        for name in next(iter(right.values())):
            shape = next(iter(right.values()))[name].shape
            for change in made_outputs.output_changes(shape, self.record):
                with np.errstate(all="ignore"):
                    made = {i: {**o, name: np.asarray(change.make(o[name]))}
                            for i, o in right.items()}  # fmt: skip
                    left = float(unlikeness(theirs, scale.rows(made, list(right))).mean()) / before
                if np.isfinite(left):
                    evidence = f"output '{name}': {change.words}"
                    fix = made_outputs.FIXES[change.fault]
                    found.append(Explanation(change.fault, evidence, fix, left))
        return found

    def _of_inputs(
        self, port: Mapping[str, Outputs], scale: Scale
    ) -> list[tuple[Explanation, dict[str, Outputs]]]:
        """Every mistake of inputs on a few samples, with the outputs that it gives."""
        ids = self.ids[: (_FEW if self.card.recipe is not None else TRIED)]
        theirs, ours = scale.rows(port, ids), scale.rows(self.right, ids)
        before = max(float(unlikeness(theirs, ours).mean()), 1e-300)
        mistakes = list(self.mistakes())
        found = []
        with progress.meter("diagnose: inputs", len(mistakes), "mistakes") as meter:
            for mistake, fix, words in mistakes:
                meter.advance()
                try:
                    made = self.runner.run(self.inputs.arrays(len(ids), mistake))
                except (InputError, ToolError):  # it, or the model, makes nothing of these samples
                    continue
                outputs = dict(zip(ids, made, strict=True))
                left = float(unlikeness(theirs, scale.rows(outputs, ids)).mean()) / before
                found.append((Explanation(mistake.fault, words, fix, left), outputs))
        return found

    def mistakes(self) -> Iterator[tuple[Any, str, str]]:
        """Mistakes of inputs, each with its fix and words."""
        if self.card.recipe is not None:
            for mistake in usual_mistakes(self.card.preprocessing):
                if mistake.fault is not None:
                    words = f"{mistake.part}: {mistake.found} instead of {mistake.asked}"
                    yield mistake, mistake.fix, words
        elif "ids" in self.inputs.parts:
            for token in token_inputs.token_mistakes(tuple(self.inputs.parts)):
                yield token, token_inputs.FIXES[token.fault], f"inputs: {token.words}"

    def by_records(
        self,
        port: Mapping[str, Any],
        make: Mapping[str, Outputs],
        wanted: Mapping[str, Any],
        others: Sequence[Change] = (),
    ) -> list[Explanation]:
        """Records under which the outputs ``make`` give the answers ``wanted``; ``port``: the
        answers by the card's record; ``others``: records beside the usual ones.
        """
        wanted = {i: wanted[i] for i in most_different(port, wanted, TRIED)}
        before = max(1 - likeness(port, wanted), 1e-9)
        found: list[tuple[Explanation, Change]] = []
        for change in (*others, *self.records()):
            left = self._left(change.record, make, wanted) / before
            found.append((Explanation(change.fault, change.words, change.fix, left), change))
        found.sort(key=lambda f: f[0].left)
        if found and found[0][0].left > EXPLAINED:
            for first, change in found[:_FIRSTS]:
                if first.left > _PARTLY:
                    break
                for second in self._changes(change.record):
                    if second.field != change.field:
                        left = self._left(second.record, make, wanted) / before
                        after = Explanation(second.fault, second.words, second.fix, left)
                        both = Explanation(
                            first.fault, first.evidence, first.fix, left, None, after
                        )
                        found.append((both, second))
        return [f for f, _ in found]

    def _left(
        self, record: Postprocess, outputs: Mapping[str, Outputs], wanted: Mapping[str, Any]
    ) -> float:
        try:
            made = self.judge.predictions(record, {i: outputs[i] for i in wanted})
            parts = self.judge.answers(made)
        except (InputError, ValueError, IndexError, TypeError):  # the record does not fit
            return 1.0
        return 1 - likeness(parts, wanted)

    def by_truth(self) -> list[Explanation]:
        """Records under which the reference itself is clearly better."""
        found = []
        part = {i: self.right[i] for i in self.ids[:_JUDGED]}
        plain = self.figure(self.judge.contributions(self.record, part))
        for change in self.records():
            try:
                value = self.figure(self.judge.contributions(change.record, part))
            except (InputError, ValueError, IndexError, TypeError):  # the record does not fit
                continue
            if value - plain > max(_BETTER, 0.2 * (1 - plain)):
                words = f"the card's {change.field} does not fit the model: {change.asked}"
                words += f" gives {plain:.3g}, {change.found} gives {value:.3g}"
                fix = f"set '{change.field}: {change.found}' in the card's 'postprocess'"
                found.append(Explanation(change.fault, words, fix, plain - value, value))
        return sorted(found, key=lambda e: e.left)


def _mixed(theirs: Rows, ours: Rows, ids: list[str]) -> list[Explanation]:
    """Results that are the reference's of other samples."""
    matrix = unlikeness_matrix(theirs, ours)
    closest, best = matrix.argmin(axis=1), matrix.min(axis=1)
    moved = (closest != np.arange(len(ids))) & (best < SAME)
    own = float(np.diagonal(matrix).mean())
    if moved.sum() < 2 or not own:
        return []
    first = int(np.flatnonzero(moved)[0])
    evidence = (
        f"{moved.sum()} of {len(ids)} results belong to another sample (that of {ids[first]} is the"
        f" reference's of {ids[closest[first]]})"
    )
    fix = "name results by sample id: check the order and the index of the info list"
    return [Explanation("samples-shuffled", evidence, fix, float(best.mean()) / own)]
