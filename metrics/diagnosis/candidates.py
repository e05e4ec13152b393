"""Explanations of a port's outputs, and those that need nothing but two sets of outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.likeness import (
    SAME,
    Rows,
    same_ranks,
    unlikeness,
)
from portproof.metrics.diagnosis.model.changes import FIXES, Changed
from portproof.preprocess.mistakes.mistake import Mistake

#: Beyond so many classes, no order of them is looked for class by class.
_MOST_CLASSES = 4096
#: The next best class leaves so many times as much where an order of classes is beyond doubt.
_CLEARLY = 4
#: A fault must leave at most this share of what "no fault" leaves unexplained; one whose effect is
#: no larger than that of 8 bits, this one.
BETTER, _CLEARLY_BETTER = 0.5, 0.2
#: What arithmetic in another order or precision leaves. Below it, and where ranks are the same,
#: only a fault that leaves next to nothing is believed; below the last there is nothing to explain.
NOISE, NEXT_TO_NOTHING, NOTHING = 1e-4, 0.05, 1e-9
#: The first of several faults may leave more, if what follows it explains the rest.
PARTLY = 0.85
#: Explanations that leave so much alike cannot be told apart.
ALIKE = 1.1
#: The same where a second fault is left, on samples that need not be the same.
_ABOUT_ALIKE = 1.5
LAYERS = "compare the layers with metrics/layers.py"
_ANOTHER_SCALE = ", and yet it ranks the classes as the reference does: another scale"


class Candidate(msgspec.Struct, frozen=True):
    """One explanation. ``score``: the share of the port's outputs that it explains, 0 to 1."""

    fault: str
    score: float
    evidence: str
    fix: str


@dataclass(frozen=True)
class Found:
    """A candidate with what follows from it.

    ``alike``: other faults that fit as well. ``accuracy``: of the samples compared, what it would
    be after the fix; None: the reference's. ``left``: the share of the difference that it leaves;
    None: by its score. Once it is found, a second fault is looked for in what it leaves: without
    the samples that are ``explained``, with the answer of sample ``there[i]`` in row i (-1:
    unknown), with classes in the order ``columns``, with the reference's ``mistake``, with a
    ``changed`` model, which gives answers unlike the reference's by ``moved``, with outputs that
    are ``made`` of the reference's, or with the port's outputs ``undone``: which rows, and what
    they are then. ``sure``: the port's outputs alone show it, whatever else is wrong;
    ``besides``: it stands only with another fault that is found next, an "order", a "mistake", a
    "function" of outputs, a change of the "model", or any "other".
    """

    candidate: Candidate
    alike: tuple[str, ...] = ()
    accuracy: float | None = None
    left: float | None = None
    explained: NDArray[np.bool_] | None = None
    there: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None
    mistake: Mistake | None = None
    changed: Changed | None = None
    moved: float = 0.0
    made: Callable[[Rows], Rows] | None = None
    undone: tuple[NDArray[np.int64], Rows] | None = None
    sure: bool = False
    besides: str = ""


@dataclass(frozen=True)
class Tried:
    """A change, the share of the difference that it leaves, and how unlike the reference's it makes
    the answers.
    """

    changed: Changed
    left: float
    moved: float = 0.0


def score_of(left: Rows) -> float:
    """The share that is explained; ``left``: how unlike each sample's output still is, 0 to 1."""
    return max(0.0, 1 - float(left.mean()))


def no_fault(port: Rows, plain: Rows, left: Rows) -> Candidate:
    """The port is as good as its reference, or no usual mistake explains it."""
    evidence = (
        f"the port differs from the reference by {left.mean():.2g} on average, at most"
        f" {left.max():.2g}"
    )
    fix = f"none of the usual mistakes: {LAYERS}"
    if float(left.mean()) <= SAME:
        fix = "nothing to do"
    elif same_ranks(port, plain):
        evidence += _ANOTHER_SCALE
        fix = "nothing to do: no rank is changed"
    return Candidate("none", score_of(left), evidence, fix)


def is_another_scale(none: Candidate) -> bool:
    """Whether no rank is changed."""
    return none.evidence.endswith(_ANOTHER_SCALE)


def is_quiet(none: Candidate) -> bool:
    """Whether the difference may be of precision alone."""
    return 1 - none.score <= SAME or is_another_scale(none)


def is_noise(none: Candidate) -> bool:
    """Whether arithmetic may make the difference, or it changes no rank."""
    return 1 - none.score <= NOISE or is_another_scale(none)


def left_by(found: Found, none: Candidate) -> float:
    """The share of the difference that an explanation leaves."""
    if found.left is not None:
        return found.left
    return (1 - found.candidate.score) / max(1 - none.score, 1e-300)


def most_left(none: Candidate) -> float:
    """The share of the difference that a fault leaves at most where it is believed."""
    if is_noise(none):
        return NEXT_TO_NOTHING
    return _CLEARLY_BETTER if is_quiet(none) else BETTER


def best_of(none: Candidate, others: list[Found]) -> Found | None:
    """The explanation that leaves least, if clearly less than no fault does."""
    unexplained, needed = 1 - none.score, most_left(none)
    # A softmax is harmless.
    likely = [f for f in others if f.candidate.score >= 0.5 or f.made is not None]
    fit = [f for f in likely if f.candidate.fault != "softmax"]
    if unexplained <= NOTHING or not fit:
        return None
    best = min(fit, key=lambda f: left_by(f, none))
    if best.besides:  # two faults fit better than one, also where there is one
        alone = min((f for f in fit if not f.besides), key=lambda f: left_by(f, none), default=best)
        best = alone if left_by(alone, none) <= min(needed, _CLEARLY_BETTER) else best
    if best.changed:  # a number that was fitted takes some of a second fault with it
        certain = left_by(best, none) <= NEXT_TO_NOTHING
        limit = (ALIKE if certain else _ABOUT_ALIKE) * left_by(best, none)
        named = (f for f in fit if (f.mistake or f.columns is not None) and not f.besides)
        usual = [f for f in named if left_by(f, none) <= limit]
        best = min(usual, key=lambda f: left_by(f, none), default=best)
    return best if left_by(best, none) <= needed else None


def as_good_as(best: Found, none: Candidate, others: list[Found]) -> tuple[str, ...]:
    """Names of other faults that fit as well; none beside one that hardly fits before others are
    found.
    """
    if left_by(best, none) > BETTER:
        return ()
    limit = ALIKE * left_by(best, none) + 1e-6
    names = {f.candidate.fault for f in others if left_by(f, none) <= limit}
    return tuple(sorted(names - {best.candidate.fault, "softmax"}))


def classes_moved(port: Rows, plain: Rows) -> list[Found]:
    """Every class at another place: a background class too many or too few, or another order."""
    here = np.arange(plain.shape[1])
    one_off = (
        "compare the class lists of both models: one has a background class, or lost its first"
    )
    sort = (
        "give the port the reference's order of classes: sort class numbers by value, not as text"
    )
    orders = [
        (
            "classes-shifted",
            f"every class is {by:+d} from the reference's",
            one_off,
            np.roll(here, by),
        )
        for by in (1, -1)
    ]
    orders += [
        ("classes-order", f"the port's classes are in another order: {words}", sort, order)
        for words, order in class_orders(len(here))
    ]
    if (matched := matched_classes(port, plain)) is not None:
        moved = np.flatnonzero(matched != here)
        pairs = ", ".join(f"{i} is {matched[i]}" for i in moved[:4])
        said = f"the port's classes are in another order ({len(moved)} moved: {pairs}, ...)"
        orders.append(("classes-order", said, sort, matched))
    return [
        Found(
            Candidate(fault, score_of(unlikeness(port, plain[:, order])), evidence, fix),
            columns=order,
        )
        for fault, evidence, fix, order in orders
    ]


def matched_classes(port: Rows, plain: Rows) -> NDArray[np.int64] | None:
    """For each class of the port the reference's class that has its answers, if there is one for
    each beyond doubt; None otherwise. Both sides are comparable, (rows, classes).
    """
    n, classes = port.shape
    if n < 3 or classes > _MOST_CLASSES:
        return None
    squares = (port**2).sum(axis=0)[:, None] + (plain**2).sum(axis=0)[None, :]
    distance = np.maximum(squares - 2 * port.T @ plain, 0)
    order = distance.argmin(axis=1)
    if len(set(order.tolist())) < classes or np.array_equal(order, np.arange(classes)):
        return None
    own = distance[np.arange(classes), order]
    second = np.partition(distance, 1, axis=1)[:, 1]
    return order if float(np.median(second)) >= _CLEARLY * float(np.median(own)) else None


def text_order(count: int, first: int) -> NDArray[np.int64]:
    """The places of numbers counted from ``first`` that are sorted as text.

    >>> text_order(12, 0).tolist()
    [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    names = [str(i) for i in range(first, first + count)]
    return np.array(sorted(range(count), key=names.__getitem__))


def class_orders(count: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Orders of classes in circulation: words, and for each place the class that stands there."""
    yield "reversed", np.arange(count)[::-1]
    for first in (0, 1):
        text = text_order(count, first)
        if (text != np.arange(count)).any():
            yield f"text order ({first}, 1, 10, ...)" if not first else "text order from 1", text
            yield f"undone text order, from {first}", np.argsort(text)


def as_found(tried: list[Tried], none: Candidate) -> list[Found]:
    """What was tried as explanations of what ``none`` leaves."""
    found = []
    for each in tried:
        changed, left = each.changed, each.left * (1 - none.score)
        evidence = f"{changed.words}; the reference made so differs by {left:.2g}"
        fix = FIXES[changed.fault]
        candidate = Candidate(changed.fault, max(0.0, 1 - left), evidence, fix)
        found.append(Found(candidate, left=each.left, changed=changed, moved=each.moved))
    return found
