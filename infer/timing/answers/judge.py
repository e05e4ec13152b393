"""Whether a subject's answers fit together: equal rows must have equal answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from portproof.infer.timing.answers.tolerances import Tolerance
from portproof.infer.timing.answers.witness import Call, Key, Output, kept_places

Floats = npt.NDArray[np.float64]

#: Finite stand-ins of infinity, as masks are: equal ones are equal, and no size follows from them.
_HUGE = 1e8
#: Which call an answer is expected from, first choice first.
_ORDER = ("single", "alike", "first", "mixed", "turned", "last", "anew")


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one output, by the key of the row: what is expected, from which call, and by slice the
    size of the answers and their spread over the made rows. ``whole``: of whole numbers.
    """

    answers: Mapping[Key, Floats]
    calls: Mapping[Key, Call]
    groups: npt.NDArray[np.int64]
    size: Floats
    spread: Floats
    whole: bool

    def allowed(self, tolerance: Tolerance) -> Floats:
        """The root mean square of a difference that is allowed, by slice."""
        return np.maximum(tolerance.floor * self.size, tolerance.share * self.spread)

    def distance(self, one: Floats, other: Floats) -> Floats:
        """The root mean square of a difference, by slice; infinite where only one side is."""
        with np.errstate(invalid="ignore"):
            gap = np.where(one == other, 0.0, np.abs(one - other))
        return np.sqrt(by_group(np.where(np.isnan(gap), np.inf, gap) ** 2, self.groups))


def by_group(values: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """The mean of the values of each slice."""
    counts = np.bincount(groups)
    sums = np.bincount(groups, weights=values)
    return np.asarray(sums[counts > 0] / counts[counts > 0])


def slices_of(shape: Sequence[int]) -> npt.NDArray[np.int64]:
    """The slice of each kept element: by the index of the first or the last axis of a sample,
    whichever is shorter, so that a box's pixels do not hide a wrong score.

    >>> slices_of((4, 2)).tolist(), slices_of((3,)).tolist()
    ([0, 1, 0, 1, 0, 1, 0, 1], [0, 0, 0])
    """
    size = int(np.prod(shape, dtype=np.int64))
    places = kept_places(size)
    if len(shape) < 2 or not size:
        return np.zeros(len(places), np.int64)
    if shape[-1] <= shape[0]:
        return np.asarray(places % shape[-1], np.int64)
    return np.asarray(places // (size // shape[0]), np.int64)


def floats(values: npt.NDArray[np.generic]) -> Floats:
    """Values as float64, huge ones as infinite."""
    converted = np.asarray(values, np.float64)
    huge = np.abs(converted) >= _HUGE
    return np.where(huge, np.copysign(np.inf, converted), converted) if huge.any() else converted


def judged_outputs(calls: Sequence[Call]) -> list[int]:
    """The places of the outputs that are compared: a row a sample, and numbers with a fraction, or
    whole numbers where there are no others.
    """
    first = calls[0].outputs
    whole = [
        at
        for at in range(len(first))
        if all(
            c.outputs[at].values is not None
            and c.outputs[at].sample_shape == first[at].sample_shape
            for c in calls
        )
    ]
    fractions = [at for at in whole if _kind(first[at]) == "f"]
    return fractions or whole


def _kind(output: Output) -> str:
    return output.values.dtype.kind if output.values is not None else ""


def expected(calls: Sequence[Call], at: int) -> Expected:
    """What each row should be answered with, in output number ``at``: its answer alone if it was
    asked for alone, else in a batch of its like, else its first one.
    """
    answers: dict[Key, Floats] = {}
    origin: dict[Key, Call] = {}
    for call in sorted(calls, key=lambda c: _ORDER.index(c.name)):
        values = call.outputs[at].values
        assert values is not None
        for key, row in zip(call.keys, values, strict=True):
            if key not in answers:
                answers[key], origin[key] = floats(row), call
    made = [a for key, a in answers.items() if key[0] == "made"] or list(answers.values())
    rows = np.where(np.isfinite(np.stack(made)), np.stack(made), 0.0)
    groups = slices_of(calls[0].outputs[at].sample_shape)
    spread = np.sqrt(by_group(rows.var(axis=0), groups))
    whole = _kind(calls[0].outputs[at]) != "f"
    return Expected(answers, origin, groups, _size(rows, groups), spread, whole)


def _size(rows: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    """The root mean square of each slice's elements that vary: what never changes, as a mask, is
    exact and says nothing of the size at which rounding happens. Of all, where none varies.
    """
    square, varies = (rows**2).mean(axis=0), np.ptp(rows, axis=0) > 0
    count = by_group(varies.astype(np.float64), groups)
    sums = by_group(np.where(varies, square, 0.0), groups)
    of_all = by_group(square, groups)
    return np.sqrt(np.divide(sums, count, out=of_all, where=count > 0))


def fault_of(calls: Sequence[Call], tolerance: Tolerance) -> str | None:
    """Why the answers of one subject do not fit together; None if they do."""
    return (
        _not_a_number(calls)
        or _other_shapes(calls)
        or next(
            (why for at in judged_outputs(calls) if (why := _apart(calls, at, tolerance))), None
        )
    )


def _not_a_number(calls: Sequence[Call]) -> str | None:
    """NaN for a row that is timed, or for one that had an answer elsewhere."""
    known = {
        (key, at)
        for call in calls
        for at, output in enumerate(call.outputs)
        for key, nan in zip(call.keys, output.nan, strict=False)
        if not nan
    }
    for call in calls:
        for at, output in enumerate(call.outputs):
            rows = [
                row
                for row, (key, nan) in enumerate(zip(call.keys, output.nan, strict=False))
                if nan and (key[0] == "timed" or (key, at) in known)
            ]
            if rows:
                ever = any(key[0] == "timed" and place == at for key, place in known)
                hint = "" if ever else "; a model that takes only some values needs --inputs real"
                some = f"{len(rows)} of {call.batch} rows of a batch"
                return f"output '{output.name}' is not a number (NaN) in {some}{hint}"
    return None


def _other_shapes(calls: Sequence[Call]) -> str | None:
    names = {tuple(o.name for o in call.outputs) for call in calls}
    return "two calls answer with different outputs" if len(names) > 1 else None


def _apart(calls: Sequence[Call], at: int, tolerance: Tolerance) -> str | None:
    """The first row whose answer is not the expected one."""
    right = expected(calls, at)
    allowed = right.allowed(tolerance)
    # A repeated call first: what is random differs everywhere, and this says so.
    for call in sorted(calls, key=lambda c: c.name not in ("last", "single")):
        values = floats(np.asarray(call.outputs[at].values))
        far = [
            row
            for row, (key, answer) in enumerate(zip(call.keys, values, strict=True))
            if (right.distance(answer, right.answers[key]) > allowed).any()
        ]
        if far and not (right.whole and len(far) <= tolerance.flips * call.batch):
            said = _said(call, far[0], values[far[0]], right, allowed)
            return f"output '{calls[0].outputs[at].name}': {said}"
    return None


def _said(call: Call, row: int, answer: Floats, right: Expected, allowed: Floats) -> str:
    """What is wrong with a row's answer: whose it is, or from which other one it differs."""
    key, where = call.keys[row], f"row {row + 1} of a batch of {call.batch}"
    for other, theirs in right.answers.items():
        if other != key and (right.distance(answer, theirs) <= allowed).all():
            whose = "another row" if other in call.keys else "an input of another call"
            return f"{where} has the answer of {whose}"
    far = apart(right.distance(answer, right.answers[key]), allowed, right.spread)
    if right.calls[key].keys == call.keys:
        return f"the same call twice gives answers that differ by {far}"
    alone = "alone" if right.calls[key].batch == 1 else "in another batch"
    return f"{where} differs from the same row {alone} by {far}"


def apart(distance: Floats, allowed: Floats, spread: Floats) -> str:
    """The worst slice in words, with what is allowed and what tells inputs apart."""
    with np.errstate(divide="ignore", invalid="ignore"):
        worst = int(np.nanargmax(distance / allowed))
    return (
        f"{distance[worst]:.2g} (allowed {allowed[worst]:.2g}, inputs differ by"
        f" {spread[worst]:.2g})"
    )


def never_varies(calls: Sequence[Call]) -> bool:
    """Whether every row has the same answer, to the bit."""
    places = judged_outputs(calls)
    for at in places:
        rows = [np.asarray(call.outputs[at].values) for call in calls]
        if any((array != rows[0][:1]).any() for array in rows):
            return False
    return bool(places)


def tells_rows_apart(calls: Sequence[Call], tolerance: Tolerance) -> bool:
    """Whether other rows have answers that differ by more than rounding, in any slice."""
    found = (expected(calls, at) for at in judged_outputs(calls))
    return any((right.spread > right.allowed(tolerance)).any() for right in found)
