"""What is left to explain once faults were found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING, NOISE, Found
from portproof.metrics.diagnosis.likeness import Measure, Rows, unlikeness
from portproof.metrics.diagnosis.look import Compared, Mask
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.reference import Reference
from portproof.preprocess.mistakes.mistake import Mistake

#: Most samples.
_MOST = 0.8


@dataclass(frozen=True)
class State:
    """The samples about which something is left to say, and the reference's answers to them, with
    what was found so far. ``made``: what was done to its outputs.
    """

    compared: Compared
    right: Rows
    columns: NDArray[np.int64]
    mistake: Mistake | None = None
    changed: Changed | None = None
    made: Callable[[Rows], Rows] | None = None

    def answers(self, outputs: Rows) -> Rows:
        """What the reference's outputs, with everything found so far, are."""
        rows = outputs[:, self.columns]
        return self.made(rows) if self.made else rows

    def unexplained(self) -> float:
        """How unlike both sides are."""
        return float(self._left().mean())

    def explains(self, before: State, most: float) -> bool:
        """Whether what was found last leaves at most this share of the difference there was
        ``before``; or next to nothing of most samples, where results of another run are left.
        """
        was, left = before._left(), self._left()
        if left.mean() <= most * was.mean():
            return True
        moved = was > NOISE
        if len(was) != len(left) or not moved.any():
            return False
        return bool(np.mean(left[moved] <= NEXT_TO_NOTHING * was[moved]) >= _MOST)

    def _left(self) -> Rows:
        measure = Measure(self.compared.port, self.right)
        return unlikeness(measure(self.compared.port), measure(self.right))


def after(model: Reference, state: State, found: Found) -> State | None:
    """What is left to explain once a fault is; None if nothing is."""
    compared, right = state.compared, state.right
    if found.explained is not None:
        kept = ~found.explained
        return _without(state, kept) if kept.sum() >= 3 else None
    if found.there is not None:
        known = found.there >= 0
        there = found.there[known]
        rest = compared.only(known)
        images = [compared.images[i] for i in there]
        moved = replace(rest, at=compared.at[there], images=images)
        return replace(state, compared=moved, right=right[there])
    if found.undone is not None:
        return _undone(state, *found.undone)
    if found.columns is not None:
        return replace(state, right=right[:, found.columns], columns=state.columns[found.columns])
    if found.made is not None:
        return replace(state, right=found.made(right), made=found.made)
    mistake, changed = found.mistake or state.mistake, found.changed or state.changed
    if found.mistake is None and found.changed is None:
        return None
    outputs = model.outputs(compared.images, mistake, changed=changed)
    return replace(state, right=state.answers(outputs), mistake=mistake, changed=changed)


def _without(state: State, kept: Mask) -> State:
    return replace(state, compared=state.compared.only(kept), right=state.right[kept])


def _undone(state: State, rows: NDArray[np.int64], undone: Rows) -> State:
    """With the port's ``rows`` as they are once something is undone, and no others."""
    kept = np.zeros(len(state.right), bool)
    kept[rows] = True
    rest = _without(state, kept)
    return replace(rest, compared=replace(rest.compared, port=undone[np.argsort(rows)]))
