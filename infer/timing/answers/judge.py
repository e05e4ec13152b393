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
    size of the answers and their spread over the made rows.
    """

    answers: Mapping[Key, Floats]
    calls: Mapping[Key, Call]
    groups: npt.NDArray[np.int64]
    size: Floats
    spread: Floats

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
    """The places of the outputs that are compared row by row: numbers with a fraction, a row a
    sample; where there are none, whole numbers.
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
    varies = np.ptp(rows, axis=0) > 0
    square = (rows**2).mean(axis=0)
    # What never changes is exact and says nothing of the size at which rounding happens.
    counted = np.where(varies, square, np.nan)
    sums = np.bincount(groups, weights=np.nan_to_num(counted))
    count = np.bincount(groups, weights=varies.astype(np.float64))
    every = np.bincount(groups)
    size = np.where(count > 0, sums / np.maximum(count, 1), 0.0)[every > 0]
    size = np.where(size > 0, size, by_group(square, groups))
    return Expected(
        answers, origin, groups, np.sqrt(size), np.sqrt(by_group(rows.var(axis=0), groups))
    )


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
                some = f"in {len(rows)} of {call.batch} rows" if call.batch > 1 else "for one row"
                return f"output '{output.name}' is not a number (NaN) {some} of a batch of {call.batch}"
    return None


def _other_shapes(calls: Sequence[Call]) -> str | None:
    names = {tuple(o.name for o in call.outputs) for call in calls}
    return "two calls answer with different outputs" if len(names) > 1 else None


def _apart(calls: Sequence[Call], at: int, tolerance: Tolerance) -> str | None:
    """The first row whose answer is not the expected one."""
    right = expected(calls, at)
    allowed = right.allowed(tolerance)
    for call in calls:
        values = call.outputs[at].values
        assert values is not None
        for row, (key, answer) in enumerate(zip(call.keys, floats(values), strict=True)):
            distance = right.distance(answer, right.answers[key])
            if (distance > allowed).any():
                return _sentence(call, row, at, right, answer, allowed)
    return None


def _sentence(
    call: Call, row: int, at: int, right: Expected, answer: Floats, allowed: Floats
) -> str:
    key, where = call.keys[row], f"row {row + 1} of a batch of {call.batch}"
    name, origin = call.outputs[at].name, right.calls[key]
    owner = next(
        (
            other
            for other, theirs in right.answers.items()
            if other != key and (right.distance(answer, theirs) <= allowed).all()
        ),
        None,
    )
    if owner is not None:
        here = owner in call.keys
        return (
            f"output '{name}': {where} has the answer of"
            f" {'another row' if here else 'an input of another call'}"
        )
    distance, spread = right.distance(answer, right.answers[key]), right.spread
    worst = int(np.argmax(distance / np.where(allowed > 0, allowed, 1e-300)))
    far = f"{distance[worst]:.2g} (allowed {allowed[worst]:.2g}, inputs differ by {spread[worst]:.2g})"
    if origin.keys == call.keys:
        return f"output '{name}': the same call twice gives answers that differ by {far}"
    alone = "alone" if origin.batch == 1 else "in another batch"
    return f"output '{name}': {where} differs from the same row {alone} by {far}"
