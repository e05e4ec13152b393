"""Outputs in another arrangement: sorted by value, or batches written along the other axis."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.likeness import Measure, Rows, probabilities, unlikeness
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.numbers.made import Make, Way

#: From so few samples or classes, an order of values may be chance.
_FEWEST = 3
#: Sizes of batches in circulation.
_BATCHES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 25, 32, 48, 50, 64, 96, 100, 128, 200, 256, 512)
_INDICES = (
    "write the outputs in the order of the classes, or the classes beside the values: look for a"
    " sort or a top-k at the end of the model, or in the script that writes results"
)
_AXES = (
    "write the batch axis first, sample by sample: look for a transpose or a column-major copy"
    " behind the model"
)


def sorted_answers(port: Rows, right: Rows) -> Iterator[Found]:
    """Values of every sample in order of size, where the reference's are not."""
    for words, downwards in (("largest", True), ("smallest", False)):
        if not is_sorted(port, downwards) or is_sorted(right, downwards):
            continue
        made = []
        for name, change in _of_values(port):
            make = partial(first_of, change=change, count=port.shape[1], downwards=downwards)
            evidence = (
                f"the port's outputs of every sample stand in order of size, the {words} first:"
                f" they are {name} without their classes"
            )
            way = Way("outputs-sorted", evidence, _INDICES, make, sure=True)
            made.append(way.found(port, right))
        yield max(made, key=lambda f: f.candidate.score)


def is_sorted(rows: Rows, downwards: bool = True) -> bool:
    """Whether every row goes one way, which chance does not do."""
    if len(rows) < _FEWEST or rows.shape[1] < _FEWEST:
        return False
    steps = np.diff(rows, axis=1)
    return bool((steps <= 0 if downwards else steps >= 0).all() and steps.any())


def _of_values(port: Rows) -> Iterator[tuple[str, Make | None]]:
    yield "scores", None
    if port.min() >= 0 and port.max() <= 1 + 1e-6:
        yield "probabilities", probabilities


def first_of(rows: Rows, change: Make | None, count: int, downwards: bool = True) -> Rows:
    """The largest ``count`` values of each row, in order."""
    values = np.sort(change(rows) if change else rows, axis=1)[:, ::-1][:, :count]
    return values if downwards else values[:, ::-1]


def best_alone(port: Rows, right: Rows) -> tuple[Found, Make] | None:
    """Fewer values than the reference has classes, in order of size: those of a top-k. What was
    found, and what makes them of the reference's outputs.
    """
    finite = np.isfinite(port).all(axis=1)
    port, right = port[finite], right[finite]
    if port.shape[1] >= right.shape[1] or not is_sorted(port):
        return None
    count, made = port.shape[1], []
    for name, change in _of_values(port):
        make = partial(first_of, change=change, count=count)
        evidence = (
            f"the results hold {count} values in order of size, the reference {right.shape[1]}"
            f" classes: the best {count} {name} without their classes"
        )
        way = Way("outputs-sorted", evidence, _INDICES, make, sure=True)
        made.append((way.found(port, right), make))
    return max(made, key=lambda m: m[0].candidate.score)


def turned_batches(compared: Compared, right: Rows) -> Iterator[Found]:
    """Batches of which one side has classes along the rows. ``right``: the reference's outputs for
    the samples compared, (rows, classes).
    """
    count, classes = len(compared.every), right.shape[1]
    row_of = np.full(count, -1)
    row_of[compared.at] = np.arange(len(compared.at))
    for batch in dict.fromkeys((*(b for b in _BATCHES if b < count), count)):
        groups = [row_of[i : i + batch] for i in range(0, count, batch)]
        whole = [g for g in groups if len(g) > 1 and (g >= 0).all()]
        if sum(map(len, whole)) < max(_FEWEST, len(compared.at) // 4):
            continue
        blocks = [compared.port[g] for g in whole]
        yield _turned(
            compared,
            right,
            np.concatenate(whole),
            np.concatenate([b.reshape(classes, len(b)).T for b in blocks]),
            f"batches of {batch} were written class by class, and are read sample by sample",
        )
        yield _turned(
            compared,
            right,
            np.concatenate(whole),
            np.concatenate([b.T.reshape(len(b), classes) for b in blocks]),
            f"batches of {batch} were written sample by sample, and are read class by class",
        )


def _turned(
    compared: Compared, right: Rows, rows: NDArray[np.int64], undone: Rows, words: str
) -> Found:
    """``undone``: what the port's ``rows`` are then."""
    measure = Measure(undone, right[rows])
    left = unlikeness(measure(undone), measure(right[rows]))
    evidence = f"{words}; the other way round they differ from the reference's by {left.mean():.2g}"
    found = Candidate("output-axes", score_of(left), evidence, _AXES)
    hits = undone.argmax(axis=1) == compared.truth[rows]
    return Found(found, accuracy=float(hits.mean()), undone=(rows, undone))
