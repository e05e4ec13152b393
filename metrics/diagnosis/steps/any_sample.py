"""Orders of the samples beside another fault that hides them: each answer is compared with those of
every sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from msgspec.structs import replace as with_other
from numpy.typing import NDArray
from scipy.stats import rankdata

from portproof.metrics.diagnosis.candidates import Found
from portproof.metrics.diagnosis.likeness import Rows, comparable, unlikeness, unlikeness_matrix
from portproof.metrics.diagnosis.numbers.functions import Curve, named_functions
from portproof.metrics.diagnosis.numbers.made import Make
from portproof.metrics.diagnosis.numbers.sorting import turned_batches
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.preprocessing import Preprocessing

#: What a fault leaves at most of what the reference's nearest answers leave.
_LEFT = 0.1
#: Where these leave so little, there is nothing to look for.
_NOTHING = 1e-3
#: So many of the port's answers are compared with those of every sample.
_SOME = 200
#: A curve goes through so many points, and is drawn again so often while answers change places.
_POINTS, _DRAWN = 48, 8
#: In the right order both sides are so many standard errors nearer than by chance, or farther, and
#: so many times as many as in the order that they have.
_ERRORS, _CLEARLY = 6.0, 2.0
#: Chance is what both sides do a part of all samples apart, for each of so many parts but one.
_CHANCE = 8


class _Nearest(NamedTuple):
    """For some of the port's answers the sample whose answer is nearest; how unlike they are."""

    places: NDArray[np.int64]
    left: float


def _some(rows: NDArray[Any]) -> NDArray[Any]:
    """Evenly spread rows, all of them if there are few."""
    return rows[:: -(-len(rows) // _SOME)]


def _nearest(port: Rows, right: Rows) -> _Nearest:
    matrix = unlikeness_matrix(port, right)
    return _Nearest(matrix.argmin(axis=1), float(matrix.min(axis=1).mean()))


def orders_beside_another_fault(tries: Preprocessing) -> list[Found]:
    """Orders of the samples, or of the values of each batch, behind which another fault is found
    next; likeliest first.
    """
    found: list[Found] = []
    before = _nearest(_some(tries.port), tries.plain).left
    if before > _NOTHING:
        found += _turned(tries, before)
        found += _bent(tries, before)
    found.sort(key=lambda f: f.left or 0.0)
    return found or list(_beyond_chance(tries))


def _turned(tries: Preprocessing, before: float) -> Iterator[Found]:
    """Batches along the other axis, whatever the order of the samples is."""
    for found in turned_batches(tries.state.compared, tries.state.right):
        assert found.undone is not None
        left = _nearest(tries.measure(_some(found.undone[1])), tries.plain).left / before
        if left <= _LEFT:
            evidence = f"{found.candidate.evidence}, in the best order of the samples by {left:.2g}"
            candidate = with_other(found.candidate, evidence=evidence)
            yield replace(found, candidate=candidate, left=left, besides="order")


def _bent(tries: Preprocessing, before: float) -> Iterator[Found]:
    """Orders of the samples beside a function of each value, which need not grow: it is drawn
    through the nearest answers, which are looked for again with it.
    """
    if tries.state.made is not None:
        return
    raw, right = _some(tries.state.compared.port), tries.state.right
    at, make = _nearest(_some(tries.port), tries.plain), None
    for _ in range(_DRAWN):
        drawn = [_curve(raw, right[at.places]), *named_functions()]
        seen = [(_nearest(comparable(raw, False), comparable(d(right), False)), d) for d in drawn]
        nearer, function = min(seen, key=lambda s: s[0].left)
        if nearer.left >= at.left:
            break
        at, make = nearer, function
    if make is None or at.left > _LEFT * before:
        return
    port = comparable(tries.state.compared.port, False)
    mixed = Mixed(tries.state.compared, port, comparable(make(right), False))
    for found in mixed.explanations():
        left = (1 - found.candidate.score) / before
        if found.there is not None and left <= _LEFT:
            evidence = f"{found.candidate.evidence}, where one function bends every value"
            candidate = with_other(found.candidate, evidence=evidence)
            yield replace(found, candidate=candidate, left=left, besides="function")


def _curve(port: Rows, right: Rows) -> Make:
    """A curve through the middle of both sides' values."""
    order = np.argsort(right, axis=None, kind="stable")
    parts = np.array_split(order, min(_POINTS, order.size))
    points = [[float(np.median(rows.ravel()[p])) for p in parts] for rows in (right, port)]
    return Curve(*map(np.array, points))


def _beyond_chance(tries: Preprocessing) -> Iterator[Found]:
    """The order in which both sides go together far beyond chance, though they are not near: most
    faults leave something of each answer.
    """
    views: tuple[Callable[[Rows], Rows], ...] = (np.asarray, partial(rankdata, axis=1))
    beyond = [each for see in views for each in _in_every_order(tries, see)]
    if beyond:
        errors, found = max(beyond, key=lambda e: e[0])
        evidence = (
            f"{found.candidate.evidence}: both sides go together then, {errors:.0f} standard errors"
            " beyond chance, behind another fault"
        )
        candidate = with_other(found.candidate, evidence=evidence)
        yield replace(found, candidate=candidate, left=0.0, besides="other")


def _in_every_order(
    tries: Preprocessing, see: Callable[[Rows], Rows]
) -> Iterator[tuple[float, Found]]:
    """The likeliest shift, the usual orders, and batches the other way round, if both sides, as
    ``see`` makes them, go together far beyond chance; by how many standard errors.
    """
    plain, port = (_apart(see(rows)) for rows in (tries.plain, tries.port))
    mixed = Mixed(tries.state.compared, port, plain)
    least = max(_ERRORS, _CLEARLY * _errors(port, plain))
    means, usual = mixed.shifted(), float(mixed.matrix.mean())
    weighed = {k: abs(usual - m) * (len(plain) - abs(k)) ** 0.5 for k, m in means.items()}
    seen: list[tuple[float, Found]] = []
    for found in mixed.every_order(max(weighed, key=weighed.__getitem__, default=0)):
        assert found.there is not None
        known = found.there >= 0
        seen.append((_errors(port[known], plain[found.there[known]]), found))
    for found in turned_batches(tries.state.compared, tries.state.right):
        assert found.undone is not None
        rows, undone = map(_some, found.undone)
        seen.append((_errors(_apart(see(tries.measure(undone))), plain[rows]), found))
    yield from (s for s in seen if s[0] > least)


def _apart(rows: Rows) -> Rows:
    """Without what a side has in common, which goes with every sample."""
    return np.asarray(rows - rows.mean(axis=0))


def _errors(a: Rows, b: Rows) -> float:
    """By how many standard errors of their mean both sides are nearer, row by row, than by chance,
    or farther: some faults turn answers into their opposites. 0 for few rows, which tell nothing.
    """
    if len(a) < 2 * _CHANCE:
        return 0.0
    others = np.concatenate([unlikeness(a, np.roll(b, len(b) * k // _CHANCE, axis=0))
                             for k in range(1, _CHANCE)])  # fmt: skip
    spread = float(others.std()) / max(len(a), 1) ** 0.5
    own = float(unlikeness(a, b).mean())
    return float(abs(float(others.mean()) - own) / max(spread, 1e-300))
