"""The search for the faults of a port, one after the other: each is looked for in what the ones
before it leave unexplained.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import MissingPackageError
from portproof.metrics.diagnosis.candidates import (
    ANOTHER_SCALE,
    Candidate,
    Found,
    classes_moved,
    no_fault,
    rounded,
    score_of,
)
from portproof.metrics.diagnosis.likeness import (
    SAME,
    Rows,
    are_probabilities,
    comparable,
    distances,
    unlikeness,
)
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.reference import Reference
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.mistakes.usual import usual_mistakes
from portproof.recipe import describe

#: A fault must leave at most this share of what "no fault" leaves unexplained.
_BETTER = 0.5
#: What arithmetic in another order or precision leaves. Below it, and where ranks are the same,
#: only a fault that leaves next to nothing is believed; below the last there is nothing to explain.
_NOISE, _NEXT_TO_NOTHING, _NOTHING = 1e-4, 0.05, 1e-9
#: Every mistake is tried on so few images, the likeliest ones on more.
_FIRST, _MORE, _LIKELY = 4, 24, 8
#: Explanations that leave so much alike cannot be told apart.
_ALIKE = 1.1
#: Once an order explains all but this share, no mistake of preprocessing is tried.
_CERTAIN = 0.02
_ROUNDS = 3
#: Pairs are made of so many kinds, tried on so few images, and for so long at most.
_KINDS, _PAIRED, _PAIRS_S = 6, 3, 30.0


@dataclass(frozen=True)
class State:
    """The samples about which something is left to say, and the reference's answers to them."""

    compared: Compared
    right: Rows
    columns: NDArray[np.int64]
    mistake: Mistake | None = None


@dataclass(frozen=True)
class Searched:
    """What a search found, in order; ``tried``: every candidate of the first round, ``none`` among
    them.
    """

    found: list[Found]
    tried: list[Candidate]


def search(model: Reference, compared: Compared, right: Rows) -> Searched:
    """Look for faults until nothing is left, or nothing fits."""
    state = State(compared, right, np.arange(right.shape[1]))
    found: list[Found] = []
    tried: list[Candidate] = []
    for number in range(_ROUNDS):
        none, others = _explanations(model, state)
        if number == 0:
            tried = [none, *(f.candidate for f in others)]
        best = _best(none, others)
        if best is None:
            break
        found.append(replace(best, alike=_as_good_as(best, none, others)))
        following = _after(model, state, best)
        if following is None:
            break
        state = following
    return Searched(found, tried)


class _Measure:
    """Makes outputs comparable, without what all samples have in common: that proves nothing about
    any of them.
    """

    def __init__(self, port: Rows, right: Rows) -> None:
        self.softmax = are_probabilities(port)
        self._as_probabilities = self.softmax or are_probabilities(right)
        plain = comparable(right, self._as_probabilities)
        self._common = plain.mean(axis=0) if len(plain) > 1 else np.zeros(plain.shape[1])

    def __call__(self, rows: Rows) -> Rows:
        return comparable(rows, self._as_probabilities) - self._common


def _explanations(model: Reference, state: State) -> tuple[Candidate, list[Found]]:
    """``none``, and every explanation of what is left."""
    compared, right = state.compared, state.right
    measure = _Measure(compared.port, right)
    port, plain = measure(compared.port), measure(right)
    left = unlikeness(port, plain)
    none = no_fault(compared.port, right, left)
    found = []
    if measure.softmax and not are_probabilities(right):
        evidence = (
            "the port's outputs are probabilities, the reference's are not, which changes no rank"
        )
        found.append(Found(Candidate("softmax", score_of(left), evidence, "nothing to do")))
    if float(left.mean()) <= _NOTHING:
        return none, [*found, *classes_moved(port, plain)]
    mixed = Mixed(compared, port, plain)
    found += [*mixed.explanations(), *classes_moved(port, plain), *rounded(compared.port, right)]
    certain = _best(none, found)
    if certain is None or _left_by(certain, none) > _CERTAIN:
        trial = _Trial(model, state, measure, port, plain)
        found += trial.all()
        if _best(none, found) is None and 1 - none.score > SAME:
            found += trial.pairs(found)
    # Whose answers they are says more than that they are nobody's.
    if _best(none, found) is None:
        found += mixed.stale()
    return none, found


@dataclass(frozen=True)
class _Trial:
    """What a mistake of preprocessing is tried on."""

    model: Reference
    state: State
    measure: _Measure
    port: Rows
    plain: Rows

    def of(self, mistake: Mistake, rows: NDArray[np.int64]) -> list[Found]:
        """The reference made to make the mistake, on some of the samples; nothing if a package for
        it is missing.
        """
        assert mistake.fault is not None
        try:
            outputs = self.model.outputs([self.state.compared.images[i] for i in rows], mistake)
        except MissingPackageError as error:
            progress.warn(f"not tried: {mistake.part} of {mistake.found}; {error}")
            return []
        left = unlikeness(self.port[rows], self.measure(outputs[:, self.state.columns]))
        before = float(unlikeness(self.port[rows], self.plain[rows]).mean())
        candidate = Candidate(
            mistake.fault,
            score_of(left),
            f"{mistake.part}: {mistake.found} instead of {mistake.asked}; the reference made to do"
            f" so differs by {left.mean():.2g}",
            f"{mistake.fix}; preprocess with the card's recipe ({describe(self.model.recipe)})",
        )
        return [Found(candidate, left=float(left.mean()) / max(before, 1e-300), mistake=mistake)]

    def all(self) -> list[Found]:
        """Every mistake on a few images, the likeliest ones on more."""
        past = self.state.mistake
        mistakes = [
            replace(m, changes=past.changes + m.changes) if past else m
            for m in usual_mistakes(past.recipe if past else self.model.recipe)
            if m.fault is not None
        ]
        distance = distances(self.port, self.plain)
        few, more = _chosen(distance, _FIRST), _chosen(distance, _MORE)
        first: list[Found] = []
        with progress.meter("diagnose: preprocessing", len(mistakes), "mistakes") as meter:
            for mistake in mistakes:
                first += self.of(mistake, few)
                meter.advance()
        if len(more) == len(few):
            return first
        first.sort(key=lambda f: f.left or 0.0)
        likely = [f for f in first[:_LIKELY] if f.left is not None and f.left < 0.8]
        again = [g for f in likely if f.mistake for g in self.of(f.mistake, more)]
        return [*again, *(f for f in first if f not in likely)]

    def pairs(self, found: list[Found]) -> list[Found]:
        """Two mistakes of which neither fits alone: the likeliest kinds with every other on top."""
        rows = _chosen(distances(self.port, self.plain), _PAIRED)
        firsts: dict[str, Mistake] = {}
        for single in sorted((f for f in found if f.mistake), key=lambda f: f.left or 0.0):
            if single.mistake and len(firsts) < _KINDS:
                firsts.setdefault(single.candidate.fault, single.mistake)
        both = [
            replace(m, changes=first.changes + m.changes, part=f"{first.found}, and {m.part}")
            for first in firsts.values()
            for m in usual_mistakes(first.recipe)
            if m.fault is not None and m.fault != first.fault
        ]
        tried: list[Found] = []
        began = time.monotonic()
        with progress.meter("diagnose: pairs of mistakes", len(both), "pairs") as meter:
            for mistake in both:
                if time.monotonic() - began > _PAIRS_S:
                    progress.say("diagnose: pairs of mistakes were tried in part: it took too long")
                    break
                tried += self.of(mistake, rows)
                meter.advance()
        more = _chosen(distances(self.port, self.plain), _MORE)
        best = min(tried, key=lambda f: f.left or 0.0, default=None)
        again = self.of(best.mistake, more) if best and best.mistake else []
        return [f for f in again if (f.left or 0.0) <= _NEXT_TO_NOTHING]


def _chosen(distance: Rows, count: int) -> NDArray[np.int64]:
    """The rows to try mistakes on: evenly spread ones, and the ones that differ most where not all
    do.
    """
    n = len(distance)
    if n <= count:
        return np.arange(n)
    rows = set(np.linspace(0, n - 1, count).round().astype(int).tolist())
    if np.median(distance) < 0.05 * distance.max():
        rows = set(sorted(rows)[::2]) | set(np.argsort(-distance)[: count // 2].tolist())
    return np.array(sorted(rows))


def _left_by(found: Found, none: Candidate) -> float:
    """The share of the difference that an explanation leaves."""
    if found.left is not None:
        return found.left
    return (1 - found.candidate.score) / max(1 - none.score, 1e-300)


def _best(none: Candidate, others: list[Found]) -> Found | None:
    """The explanation that leaves least, if clearly less than no fault does."""
    unexplained = 1 - none.score
    doubtful = unexplained <= _NOISE or none.evidence.endswith(ANOTHER_SCALE)
    needed = _NEXT_TO_NOTHING if doubtful else _BETTER
    # A softmax is harmless.
    fit = [f for f in others if f.candidate.fault != "softmax" and f.candidate.score >= 0.5]
    if unexplained <= _NOTHING or not fit:
        return None
    best = min(fit, key=lambda f: _left_by(f, none))
    return best if _left_by(best, none) <= needed else None


def _as_good_as(best: Found, none: Candidate, others: list[Found]) -> tuple[str, ...]:
    """Names of other faults that fit as well."""
    limit = _ALIKE * _left_by(best, none) + 1e-6
    names = {f.candidate.fault for f in others if _left_by(f, none) <= limit}
    return tuple(sorted(names - {best.candidate.fault, "softmax"}))


def _after(model: Reference, state: State, found: Found) -> State | None:
    """What is left to explain once a fault is; None if nothing is."""
    compared, right = state.compared, state.right
    if found.explained is not None:
        kept = ~found.explained
        if kept.sum() < 3:
            return None
        return replace(state, compared=compared.only(kept), right=right[kept])
    if found.there is not None:
        known = found.there >= 0
        there = found.there[known]
        rest = compared.only(known)
        images = [compared.images[i] for i in there]
        moved = replace(rest, at=compared.at[there], images=images)
        return replace(state, compared=moved, right=right[there])
    if found.columns is not None:
        return replace(state, right=right[:, found.columns], columns=state.columns[found.columns])
    if found.mistake is None or (1 - found.candidate.score) <= _NOTHING:
        return None
    outputs = model.outputs(compared.images, found.mistake)
    return replace(state, right=outputs[:, state.columns], mistake=found.mistake)
