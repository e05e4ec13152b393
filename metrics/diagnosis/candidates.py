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
    comparable,
    same_ranks,
    unlikeness,
)
from portproof.preprocess.mistakes.mistake import Mistake

ANOTHER_SCALE = ", and yet it ranks the classes as the reference does: another scale"


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
    unknown), with classes in the order ``columns``, or with the reference's ``mistake``.
    """

    candidate: Candidate
    alike: tuple[str, ...] = ()
    accuracy: float | None = None
    left: float | None = None
    explained: NDArray[np.bool_] | None = None
    there: NDArray[np.int64] | None = None
    columns: NDArray[np.int64] | None = None
    mistake: Mistake | None = None


def score_of(left: Rows) -> float:
    """The share that is explained; ``left``: how unlike each sample's output still is, 0 to 1."""
    return max(0.0, 1 - float(left.mean()))


def no_fault(port: Rows, plain: Rows, left: Rows) -> Candidate:
    """The port is as good as its reference, or no usual mistake explains it."""
    evidence = (
        f"the port differs from the reference by {left.mean():.2g} on average, at most"
        f" {left.max():.2g}"
    )
    fix = "none of the usual mistakes: compare the layers with metrics/layers.py"
    if float(left.mean()) <= SAME:
        fix = "nothing to do"
    elif same_ranks(port, plain):
        evidence += ANOTHER_SCALE
        fix = "nothing to do: no rank is changed"
    return Candidate("none", score_of(left), evidence, fix)


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
    return [
        Found(
            Candidate(fault, score_of(unlikeness(port, plain[:, order])), evidence, fix),
            columns=order,
        )
        for fault, evidence, fix, order in orders
    ]


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


_ROUNDINGS: dict[str, Callable[[Rows], Rows]] = {
    "rounded": np.rint,
    "cut": np.trunc,
    "rounded down": np.floor,
}


def rounded(port: Rows, right: Rows) -> list[Found]:
    """Outputs that lost their fractions. Both sides are raw outputs, (rows, classes)."""
    if not np.array_equal(port, np.rint(port)) or np.array_equal(right, np.rint(right)):
        return []
    powers = np.exp(right - right.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    found = []
    for name, rows in (("outputs", right), ("probabilities", probabilities)):
        for words, change in _ROUNDINGS.items():
            left = unlikeness(comparable(port, False), comparable(change(rows), False))
            candidate = Candidate(
                "outputs-rounded",
                score_of(left),
                f"all outputs of the port are whole numbers; the reference's {name}, {words},"
                f" differ from them by {left.mean():.2g}",
                "write outputs as float: look for a cast to an integer or a format without"
                " decimals where results are written, or an output that is not dequantised",
            )
            found.append(Found(candidate, explained=np.ones(len(port), bool)))
    return found
