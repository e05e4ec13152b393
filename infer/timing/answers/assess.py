"""The answers of a whole bench: each subject at each batch against itself, and against the
reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from portproof.infer.timing.answers.judge import (
    Expected,
    apart,
    expected,
    fault_of,
    judged_outputs,
    never_varies,
    tells_rows_apart,
)
from portproof.infer.timing.answers.tolerances import Tolerance, own, port
from portproof.infer.timing.answers.witness import Call, Evidence, Key
from portproof.measurement import Answers

#: What a call is for, in words, by its name.
_CHECKS = {
    "last": "the same call before and after the timed ones",
    "single": "batches of one",
    "turned": "rows in other places, and equal rows",
    "alike": "a batch of one row repeated",
}


@dataclass(slots=True)
class Witnessed:
    """What was answered at one batch, a worker's evidence each. ``harness``: nothing computes."""

    precision: str
    workers: list[Evidence] = field(default_factory=list)
    harness: bool = False

    @property
    def calls(self) -> list[Call]:
        """The calls of all workers."""
        return [call for worker in self.workers for call in worker.calls]


#: Of every subject: what it answered at each batch.
Testimony = Mapping[str, Mapping[int, Witnessed]]


def reference_of(subjects: Sequence[tuple[str, str, str]]) -> str | None:
    """The subject that the others are compared with, of (label, backend, precision): PyTorch as it
    was trained, else the first in fp32, else the first. None if there is but one.
    """
    if len(subjects) < 2:
        return None
    first = [label for label, backend, _ in subjects if backend == "eager"]
    first += [label for label, _, precision in subjects if precision == "fp32"]
    return [*first, subjects[0][0]][0]


def assess(testimony: Testimony, reference: str | None) -> dict[tuple[str, int], Answers]:
    """The verdict on every subject at every batch. ``reference``: the label of the subject that the
    others are compared with.
    """
    found: dict[tuple[str, int], Answers] = {}
    for label, batches in testimony.items():
        singles = _singles(batches)
        for batch, witnessed in batches.items():
            found[label, batch] = _alone(witnessed, singles)
        _one_answer_alone(label, batches, found)
    truth = _truth(testimony, found, reference)
    for (label, batch), answers in found.items():
        witnessed = testimony[label][batch]
        if not answers.ok or label == reference or not truth or witnessed.harness:
            continue
        calls = _with(witnessed.calls, _singles(testimony[label]))
        _add_reference(answers, calls, truth, reference or "", _port(testimony, label, reference))
    return found


def _port(testimony: Testimony, label: str, reference: str | None) -> Tolerance:
    one, other = (next(iter(testimony[x].values())).precision for x in (label, reference or label))
    return port(one, other)


def _truth(
    testimony: Testimony, found: Mapping[tuple[str, int], Answers], reference: str | None
) -> list[Call]:
    """The calls of the reference at the batches where its answers fit together."""
    if reference is None:
        return []
    return [
        call
        for batch, witnessed in testimony[reference].items()
        if found[reference, batch].ok and not witnessed.harness
        for call in witnessed.calls
    ]


def _singles(batches: Mapping[int, Witnessed]) -> list[Call]:
    """The batches of one, where they fit together."""
    for witnessed in batches.values():
        calls = [call for call in witnessed.calls if call.batch == 1]
        if calls and fault_of(calls, own(witnessed.precision)) is None:
            return [call for call in calls if call.name == "single"]
    return []


def _with(calls: list[Call], singles: list[Call]) -> list[Call]:
    """The calls, and the batches of one if they are of the same kind of inputs and outputs: files
    of a fixed batch may differ.
    """
    if any(call.name == "single" for call in calls):
        return calls
    forms = {(key[2], *(o.name for o in call.outputs)) for call in calls for key in call.keys}
    return calls + [c for c in singles if (c.keys[0][2], *(o.name for o in c.outputs)) in forms]


def _alone(witnessed: Witnessed, singles: list[Call]) -> Answers:
    """One subject at one batch, against itself."""
    workers = witnessed.workers
    answers = Answers(
        ok=True,
        calls=sum(w.extra_calls for w in workers),
        seconds=sum(w.seconds for w in workers),
    )
    if witnessed.harness:
        answers.checked.append("nothing: this backend computes nothing, it measures the harness")
        return answers
    calls = _with(witnessed.calls, singles)
    reason = fault_of(calls, own(witnessed.precision))
    if reason:
        return msgspec.structs.replace(answers, ok=False, reason=reason)
    if not judged_outputs(calls):
        reason = "no output has a row a sample, so there is nothing to compare"
        return msgspec.structs.replace(answers, ok=None, reason=reason)
    if not tells_rows_apart(calls, own(witnessed.precision)):
        answers.checked.append("(other inputs change the answers by no more than rounding does)")
    names = {call.name for call in calls}
    answers.checked += [text for name, text in _CHECKS.items() if name in names]
    return answers


def _one_answer_alone(
    label: str, batches: Mapping[int, Witnessed], found: Mapping[tuple[str, int], Answers]
) -> None:
    """One answer to every batch of one, and several at other batches: then it is the batch of one
    that is wrong, or is so too.
    """
    rigid = {b: never_varies(w.calls) for b, w in batches.items() if not w.harness}
    answers = found.get((label, 1))
    if answers and answers.ok and rigid.get(1) and not all(rigid.values()):
        answers.ok, answers.checked = False, []
        answers.reason = "every input has the same answer at batch 1, and its own at other batches"


def _add_reference(
    answers: Answers, calls: list[Call], truth: list[Call], reference: str, tolerance: Tolerance
) -> None:
    """Add what the comparison with the reference says."""
    shared = {k for c in calls for k in c.keys} & {k for c in truth for k in c.keys}
    pairs = _pairs(calls[0], truth[0])
    if not shared or not pairs:
        what = "inputs" if not shared else "outputs"
        answers.checked.append(f"not against '{reference}', which has other {what}")
        return
    for mine, theirs in pairs:
        why = _unlike(expected(calls, mine), expected(truth, theirs), shared, tolerance)
        if why:
            name = calls[0].outputs[mine].name
            answers.ok, answers.checked = False, []
            answers.reason = (
                f"output '{name}' is not that of '{reference}': {why}; different models belong in"
                " benches of their own"
            )
            return
    answers.checked.append(f"the answers of '{reference}'")


def _pairs(one: Call, other: Call) -> list[tuple[int, int]]:
    """The places of outputs that belong together: by name, or by place where the names differ."""
    mine, theirs = judged_outputs([one]), judged_outputs([other])
    names = {other.outputs[at].name: at for at in theirs}
    by_name = [(at, names[n]) for at in mine if (n := one.outputs[at].name) in names]
    pairs = by_name or (list(zip(mine, theirs, strict=True)) if len(mine) == len(theirs) else [])
    shapes = [(one.outputs[a].sample_shape, other.outputs[b].sample_shape) for a, b in pairs]
    return [pair for pair, (a, b) in zip(pairs, shapes, strict=True) if a == b]


def _unlike(
    mine: Expected, theirs: Expected, keys: Collection[Key], tolerance: Tolerance
) -> str | None:
    """How far the answers to the same rows are apart, over all rows, where it is too far."""
    both = [k for k in sorted(keys) if k in mine.answers and k in theirs.answers]
    if mine.whole and theirs.whole:
        other = sum((mine.answers[k] != theirs.answers[k]).any() for k in both)
        few = other <= tolerance.flips * len(both)
        return None if few else f"they differ in {other} of {len(both)} rows"
    square = [theirs.distance(mine.answers[k], theirs.answers[k]) ** 2 for k in both]
    distance, allowed = np.sqrt(np.mean(square, axis=0)), theirs.allowed(tolerance)
    if (distance <= allowed).all():
        return None
    return f"they differ by {apart(distance, allowed, theirs.spread)}"
