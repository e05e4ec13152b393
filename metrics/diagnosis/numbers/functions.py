"""Outputs that are one function of the reference's, value by value or behind a softmax.

A sound port may give the reference's values, these times a factor plus a shift, their softmax or
its logarithm. What is called a function here leaves next to nothing of what those leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING, Found
from portproof.metrics.diagnosis.likeness import (
    Rows,
    are_probabilities,
    comparable,
    probabilities,
    vary_alike,
)
from portproof.metrics.diagnosis.numbers.made import Make, Way

#: Where a sound port leaves less, there is nothing to explain.
_SOUND = 1e-7
#: A curve through the values themselves must leave this share of what a sound port leaves.
_SMOOTH = 0.02
#: And this share of how samples differ, class by class.
_BETWEEN = 0.1
#: What the mark of a function is said to leave where it leaves more.
_MARKED = 0.15
#: From fewer values no curve is drawn; of more than so many, some rows are enough.
_FEWEST, _MOST = 200, 20000
#: A curve has so many points at most, each the mean of so many neighbours at least.
_POINTS, _LEAST_WIDTH = 400, 3
#: Of rounded outputs many are the same; of limited ones many are the largest or the smallest.
_DIFFERENT, _AT_AN_END = 0.5, 0.01
#: What another fault leaves at most of outputs that are negated besides.
_AGAINST = 0.5
#: Outputs that lost their signs are as large as others within this factor.
_SIZE = 4.0

_ONCE = (
    "take the softmax once: in the model or in what reads its outputs; probabilities of a second"
    " one are nearly alike: thresholds and ensembles go wrong, though no rank changes"
)
_SIGMOID = (
    "take the sigmoid out, or put the softmax in its place, in the model or behind it: scores are"
    " no longer those of the reference, though no rank may change"
)
_CHANGED = (
    "give the outputs as the model has them: look for an activation or arithmetic behind the last"
    " layer"
)


def _sigmoid(rows: Rows) -> Rows:
    return np.asarray(0.5 * (1 + np.tanh(rows / 2)))


def _probabilities(rows: Rows) -> Rows:
    """Of outputs that are none yet."""
    return rows if are_probabilities(rows) else probabilities(rows)


def _logarithms(rows: Rows) -> Rows:
    return np.asarray(-np.logaddexp(0, -rows))


def _exponentials(rows: Rows) -> Rows:
    return np.asarray(np.exp(np.minimum(rows, 700)))


def _softplus(rows: Rows) -> Rows:
    return np.asarray(np.logaddexp(0, rows))


def _within(port: Rows, right: Rows, low: float, high: float) -> bool:
    """Whether the port's outputs, which are no probabilities, have limits that the reference's do
    not have.
    """
    inside = [bool(r.min() >= low - 1e-3 and r.max() <= high + 1e-3) for r in (port, right)]
    return inside == [True, False] and not are_probabilities(port)


def _nearly_alike(port: Rows, right: Rows) -> bool:
    """Whether the probabilities of each sample are within a factor of e, which those of numbers
    from 0 to 1 are, and the reference's are not.
    """
    if not are_probabilities(port):
        return False
    most = [(r.max(axis=1) / np.maximum(r.min(axis=1), 1e-300)).max()
            for r in (port, _probabilities(right))]  # fmt: skip
    return bool(most[0] <= np.e * 1.001 < most[1])


def _made_positive(port: Rows, right: Rows) -> bool:
    """Whether the port's outputs, of the reference's size, lost their signs: none is negative, and
    hardly any is the smallest, as a limit makes many.
    """
    if are_probabilities(port) or port.min() < 0 or right.min() >= 0:
        return False
    sizes = [(float(of(port)), float(of(np.abs(right)))) for of in (np.max, np.median)]
    alike = all(asked / _SIZE <= size <= asked * _SIZE for size, asked in sizes)
    return alike and bool(np.mean(port == port.min()) <= _AT_AN_END)


def _opposed(port: Rows, right: Rows) -> bool:
    """Whether both sides go against each other, so that most of one is the other's negative."""
    return _beside(comparable(port, False), comparable(-right, False)) <= _AGAINST


Mark = Callable[[Rows, Rows], bool]
_UNIT: Mark = partial(_within, low=0.0, high=1.0)
_HALF: Mark = partial(_within, low=0.5, high=float(_sigmoid(np.ones(1))[0]))


def _no_mark(port: Rows, right: Rows) -> bool:
    return False


#: Fault, words, fix, the functions one after the other, and what alone shows that it is likely.
_FUNCTIONS: tuple[tuple[str, str, str, tuple[Make, ...], Mark], ...] = (
    (
        "softmax-twice",
        "a softmax of their softmax",
        _ONCE,
        (_probabilities, probabilities),
        _nearly_alike,
    ),
    (
        "softmax-twice",
        "a softmax, taken three times",
        _ONCE,
        (_probabilities, probabilities, probabilities),
        _no_mark,
    ),
    ("sigmoid", "their sigmoid", _SIGMOID, (_sigmoid,), _UNIT),
    ("sigmoid", "the sigmoid of their softmax", _SIGMOID, (_probabilities, _sigmoid), _HALF),
    ("sigmoid", "the softmax of their sigmoid", _SIGMOID, (_sigmoid, probabilities), _nearly_alike),
    ("sigmoid", "the sigmoid of their sigmoid", _SIGMOID, (_sigmoid, _sigmoid), _HALF),
    ("sigmoid", "the logarithm of their sigmoid", _SIGMOID, (_logarithms,), _no_mark),
    ("outputs-changed", "negated", _CHANGED, (np.negative,), _opposed),
    ("outputs-changed", "made positive", _CHANGED, (np.abs,), _made_positive),
    (
        "outputs-changed",
        "their hyperbolic tangent",
        _CHANGED,
        (np.tanh,),
        partial(_within, low=-1.0, high=1.0),
    ),
    (
        "outputs-changed",
        "the softmax of their hyperbolic tangent",
        _CHANGED,
        (np.tanh, probabilities),
        _no_mark,
    ),
    ("outputs-changed", "their softplus", _CHANGED, (_softplus,), _no_mark),
    ("outputs-changed", "exponentials of them", _CHANGED, (_exponentials,), _no_mark),
    ("outputs-changed", "their squares", _CHANGED, (np.square,), _no_mark),
)


def named_functions() -> Iterator[Make]:
    """The functions that have a name, whichever of them it is."""
    for _, _, _, steps, _ in _FUNCTIONS:
        yield partial(_applied, steps=steps)


def functions(port: Rows, right: Rows) -> Iterator[Found]:
    """Functions that give the port's outputs, named ones and any curve. Both sides are raw outputs,
    (rows, classes).
    """
    sound = sound_share(port, right)
    if sound <= _SOUND:
        return
    curve = _curve(port, right, sound)
    for fault, words, fix, steps, mark in _FUNCTIONS:
        make: Make = partial(_applied, steps=steps)
        made = make(right)
        left, sure = _share(port, made) / sound, False
        if left > NEXT_TO_NOTHING or not vary_alike(port, made):
            if not mark(port, right):
                continue
            # Another fault may be in the way. Limits of 0 or -1 and 1 may be a scale's.
            left, sure = max(min(left, _MARKED), NEXT_TO_NOTHING), mark in (_HALF, _nearly_alike)
        way = Way(fault, f"the port's outputs are {words}", fix, make, sure)
        yield way.found(port, right, left)
    if curve is not None:
        make, left = curve
        words = "the port's outputs are one function of the reference's, value by value"
        yield Way("outputs-changed", words, _CHANGED, make).found(port, right, left)


def _applied(rows: Rows, steps: tuple[Make, ...]) -> Rows:
    for step in steps:
        rows = step(rows)
    return rows


def _share(port: Rows, made: Rows) -> float:
    """What is left of the port's outputs, of their size, each row without its mean."""
    theirs, ours = comparable(port, False), comparable(made, False)
    return float(np.sum((theirs - ours) ** 2) / max(float(np.sum(theirs**2)), 1e-300))


def sound_share(port: Rows, right: Rows) -> float:
    """The least share of the port's outputs that a sound port leaves: the reference's values or
    their probabilities times a factor that is not negative, plus a shift.
    """
    likely = _probabilities(right)
    pairs = [(comparable(port, False), comparable(r, False)) for r in (right, likely)]
    if are_probabilities(port):
        pairs.append((comparable(port, True), comparable(likely, True)))
    return min(_beside(theirs, ours) for theirs, ours in pairs)


def _beside(y: Rows, x: Rows) -> float:
    """The share of ``y`` that no multiple of ``x`` gives."""
    product = max(float(np.sum(x * y)), 0.0)
    sizes = float(np.sum(x * x)) * float(np.sum(y * y))
    return max(0.0, 1 - product**2 / sizes) if sizes else 1.0


def _curve(port: Rows, right: Rows, sound: float) -> tuple[Make, float] | None:
    """A curve through the values of both sides, and the share that it leaves of what a sound port
    leaves; None where the values lie beside every curve, or are rounded or limited.
    """
    step = max(1, port.size // _MOST)
    theirs = port[::step].ravel()
    # Where samples hardly differ, every class has one value, and any two sides are on a curve.
    least = _BETWEEN * float(port.var(axis=0).mean() / max(float(port.var()), 1e-300))
    ends = np.mean((theirs == theirs.min()) | (theirs == theirs.max()))
    if theirs.size < _FEWEST or ends > max(_AT_AN_END, 2.5 / theirs.size):
        return None
    if len(np.unique(theirs)) < _DIFFERENT * theirs.size:
        return None
    bases: tuple[tuple[Make, ...], ...] = ((), (_probabilities,))
    best: tuple[Make, float] | None = None
    for before in bases:
        x = _applied(right, before)[::step].ravel()
        order = np.argsort(x, kind="stable")
        x, y = x[order], theirs[order]
        line = _beside(y - y.mean(), x - x.mean())
        told = _from_neighbours(x, y)
        left = told / max(min(line, sound), 1e-300)
        if told > least or min(line, sound) <= _SOUND or left > _SMOOTH:
            continue
        if best is None or left < best[1]:
            best = partial(_applied, steps=(*before, _smooth(x, y))), left
    return best


def _smooth(x: Rows, y: Rows) -> Curve:
    """A curve through the means of neighbours, in the order of ``x``, and both ends: one through
    every point would take another fault with it, and say of itself that it leaves nothing.
    """
    width = max(_LEAST_WIDTH, len(x) // _POINTS)
    starts = np.arange(0, len(x) - width + 1, width)
    counts = np.diff([*starts, len(x)])
    means = (np.add.reduceat(values, starts) / counts for values in (x, y))
    return Curve(*(np.array([v[0], *m, v[-1]]) for v, m in zip((x, y), means, strict=True)))


@dataclass(frozen=True)
class Curve:
    """Straight lines through points: ``x``, growing, and ``y``, (points,)."""

    x: Rows
    y: Rows

    def __call__(self, rows: Rows) -> Rows:
        """The values of the lines, of the shape of ``rows``; beyond the ends those at the ends."""
        return np.asarray(np.interp(rows, self.x, self.y))


def _from_neighbours(x: Rows, y: Rows) -> float:
    """The share of the variance of ``y`` that is left when each value is told from its two
    neighbours in the order of ``x``.
    """
    width = x[2:] - x[:-2]
    part = np.divide(x[1:-1] - x[:-2], width, out=np.full(len(width), 0.5), where=width > 0)
    told = y[:-2] + part * (y[2:] - y[:-2])
    return float(np.mean((y[1:-1] - told) ** 2) / max(float(y.var()), 1e-300))
