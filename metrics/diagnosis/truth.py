"""Labels that do not fit what the reference itself says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import Candidate, Found, class_orders
from portproof.metrics.diagnosis.defects import place_of
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.order import usual_orders

Classes = NDArray[np.int64]
Reading = tuple[str, str, str, Classes]

_SHIFTS = (
    (-1, "the label file counts from 1: write it again, counted from 0"),
    (1, "the labels are one too low: write the file again"),
)
_REWRITE = "write the label file again from the data set, joined by file name"
_CLASS_LIST = (
    "write the label file again with the class list that the model was trained with; see"
    " preprocess/labels.py --order"
)
#: Readings of labels that are right nearly as often as the best cannot be told from it.
_NEAR = 0.85
#: From so few samples, nothing is said about chance.
_FEWEST = 16
#: A run of wrong labels has so many images at least.
_SHORTEST = 8


def wrong_labels(compared: Compared, predicted: Classes, classes: int) -> list[Found]:
    """What is wrong with the labels; ``predicted``: what the reference says, one of ``classes``.

    The best reading of the labels under which the reference is clearly right more often, or that
    the reference is no better than chance.
    """
    truth = compared.truth
    found = _fitting(compared, predicted, _readings(compared, classes))
    if not found:
        said = "classes in another order (each class is one other of the reference's)"
        numbers = _mapped(np.minimum(truth, classes), predicted, classes + 1)
        mapped = iter([("labels-class-order", said, _CLASS_LIST, numbers)])
        found = _fitting(compared, predicted, mapped)
    return found or _at_chance(truth, predicted, classes) or _wrong_run(compared, predicted)


def _fitting(compared: Compared, predicted: Classes, readings: Iterator[Reading]) -> list[Found]:
    """The readings under which the reference is clearly right more often, best first."""
    plain = predicted == compared.truth
    found = []
    for fault, words, fix, labels in readings:
        hits = predicted == labels
        if not _clearly_better(hits, plain):
            continue
        evidence = (
            f"the reference is right on {100 * hits.mean():.0f} % of the images with {words}, on"
            f" {100 * plain.mean():.0f} % as they are"
        )
        port = float(np.mean(compared.port.argmax(axis=1) == labels))
        found.append(Found(Candidate(fault, float(hits.mean()), evidence, fix), accuracy=port))
    found.sort(key=lambda f: -f.candidate.score)
    if not found:
        return []
    best = found[0].candidate
    near = {f.candidate.fault for f in found if f.candidate.score >= _NEAR * best.score}
    return [replace(found[0], alike=tuple(sorted(near - {best.fault}))), *found[1:]]


def _clearly_better(hits: NDArray[np.bool_], plain: NDArray[np.bool_]) -> bool:
    share, before = float(hits.mean()), float(plain.mean())
    fixed, lost = int((hits & ~plain).sum()), int((plain & ~hits).sum())
    return (
        share >= 0.3
        and (share > 3 * before or 1 - share <= 0.5 * (1 - before))
        and fixed - lost >= 3 * np.sqrt(fixed + lost)
        and fixed > 3
    )


def _readings(compared: Compared, classes: int) -> Iterator[Reading]:
    """Fault, words, fix and the labels read so, (samples,)."""
    truth, every = compared.truth, compared.labels
    n = len(every)
    for shift, fix in _SHIFTS:
        yield "labels-shifted", f"labels moved by {shift:+d}", fix, truth + shift
    for step in (1, -1):
        words = f"each image given the label of its neighbour ({step:+d} in the order of ids)"
        yield "labels-misaligned", words, _REWRITE, np.roll(every, -step)[compared.at]
    for order in usual_orders(compared.every, np.zeros(n, np.int64)):
        fault = order.fault.replace("samples", "labels")
        words = f"labels of the images in another order ({order.words})"
        yield fault, words, _REWRITE, every[order.source][compared.at]
    # Numbers of no class are one class more, which is never right.
    inside = np.minimum(truth, classes)
    for words, numbers in class_orders(classes):
        said = f"classes in another order ({words})"
        yield "labels-class-order", said, _CLASS_LIST, np.append(numbers, -1)[inside]


def _mapped(truth: Classes, predicted: Classes, classes: int) -> Classes:
    """Each label as the class that the reference mostly says to the *other* half of the images
    with it, so that chance does not count; -1 where there is none.
    """
    mapped = np.full(len(truth), -1)
    halves = np.arange(len(truth)) % 2 == 0
    for learnt, read in ((halves, ~halves), (~halves, halves)):
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (truth[learnt], predicted[learnt]), 1)
        likely = np.where(counts.max(axis=1) > 0, counts.argmax(axis=1), -1)
        # An order of classes gives no class to two labels.
        taken = np.bincount(likely[likely >= 0], minlength=classes)
        likely[(likely >= 0) & (taken[likely] > 1)] = -1
        mapped[read] = likely[truth[read]]
    return mapped


def _wrong_run(compared: Compared, predicted: Classes) -> list[Found]:
    """A run of neighbours on which the reference is nearly always wrong, and hardly ever beside it.
    A run of few classes may be what the model does not know.
    """
    right = predicted == compared.truth
    # The run in which most are wrong, by the largest sum of +1 (wrong) and -1 (right).
    sums = np.concatenate([[0], np.cumsum(np.where(right, -1, 1))])
    last = int(np.argmax(sums - np.minimum.accumulate(sums)))
    first = int(np.argmin(sums[: last + 1]))
    inside, outside = right[first:last], np.delete(right, np.arange(first, last))
    few = len(set(compared.truth[first:last].tolist())) < 3
    if last - first < _SHORTEST or few or not len(outside):
        return []
    share, beside = float(inside.mean()), float(outside.mean())
    if share > 0.25 or beside < share + 0.5:
        return []
    run = np.zeros(len(right), bool)
    run[first:last] = True
    evidence = (
        f"the reference is right on {100 * share:.0f} % of {last - first} images"
        f" ({place_of(compared.ids, run)}), on {100 * beside:.0f} % of the others: their labels are"
        " not theirs"
    )
    said = compared.port.argmax(axis=1) == compared.truth
    after = float(np.where(run, beside, said).mean())
    return [Found(Candidate("labels-wrong", beside, evidence, _REWRITE), accuracy=after)]


def _at_chance(truth: Classes, predicted: Classes, classes: int) -> list[Found]:
    """The reference itself is no better than guessing."""
    n = len(truth)
    right = int((predicted == truth).sum())
    inside = np.minimum(truth, classes)
    shares = [np.bincount(c, minlength=classes + 1) / n for c in (inside, predicted)]
    expected = float(n * (shares[0] * shares[1]).sum())
    if n < _FEWEST or right > expected + 2 * np.sqrt(expected * (1 - expected / n)) + 1e-9:
        return []
    if expected < 1 and right:  # too few to know chance
        return []
    # Where all are of one class, everything right is chance as well.
    if shares[0][:-1].max() > 0.95 and right > 2 * n / classes:
        return []
    return [
        Found(
            Candidate(
                "reference-at-chance",
                1 - right / n,
                f"the reference itself is right on {100 * right / n:.1f} % of {n} images, guessing"
                f" on {100 * expected / n:.1f} %: this accuracy proves nothing about a port",
                "the label file is of other images or of another class list, or the reference is"
                " not the trained model, or the card's preprocessing is not its own: mend this"
                " first",
            )
        )
    ]
