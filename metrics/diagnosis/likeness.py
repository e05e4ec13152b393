"""How alike two sets of outputs are, row by row: the measure of a diagnosis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]

#: Probabilities are compared by their logarithm; text results have six decimals, so anything below
#: is one value.
_LEAST_PROBABILITY = 1e-6
#: How unlike differences between samples may be on both sides; about 1 where they are unrelated.
_APART = 0.3
#: Fewer rows may rank alike by chance.
_FEWEST = 3
#: An output this unlike the reference's is not a matter of precision, not even of 8 bits.
SAME = 0.05


def are_probabilities(rows: Rows) -> bool:
    """Whether every row is non-negative and adds up to one, as a softmax makes it."""
    return bool(rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1).max() < 1e-2)


def probabilities(rows: Rows, axis: int = 1) -> Rows:
    """Softmax along an axis."""
    powers = np.exp(rows - rows.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def comparable(rows: Rows, as_probabilities: bool) -> Rows:
    """Rows without what does not change a ranking: each is centred; with ``as_probabilities`` after
    (softmax and) logarithm, so that outputs before and after a softmax compare.
    """
    if as_probabilities:
        rows = rows if are_probabilities(rows) else probabilities(rows)
        rows = np.log(np.maximum(rows, _LEAST_PROBABILITY))
    centred: Rows = rows - rows.mean(axis=1, keepdims=True)
    return centred


def unlikeness(a: Rows, b: Rows) -> Rows:
    """For every row of ``a`` and of ``b``: squared distance over the sum of squares, 0 where equal
    and about 1 where unrelated; (rows,).
    """
    scale = np.sum(a * a, axis=1) + np.sum(b * b, axis=1)
    return np.asarray(np.sum((a - b) ** 2, axis=1) / np.maximum(scale, np.finfo(np.float64).tiny))


def unlikeness_matrix(a: Rows, b: Rows) -> Rows:
    """:func:`unlikeness` of every row of ``a`` with every row of ``b``; (rows of a, rows of b)."""
    squares = np.sum(a * a, axis=1)[:, None] + np.sum(b * b, axis=1)[None, :]
    return np.asarray(
        np.maximum(squares - 2 * a @ b.T, 0) / np.maximum(squares, np.finfo(np.float64).tiny)
    )


def same_ranks(a: Rows, b: Rows) -> bool:
    """Whether both sides rank the classes alike, as far as precision goes; not of rows that are
    sorted, which all rank alike.
    """
    ranks = [rows.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") for rows in (a, b)]
    if len(a) >= _FEWEST and all((r == r[0]).all() for r in ranks):
        return False
    left = unlikeness(*(comparable(r.astype(np.float64), False) for r in ranks))
    return float(left.mean()) <= SAME / 50


def distances(a: Rows, b: Rows) -> Rows:
    """:func:`unlikeness` with one scale for all rows, so that a row of small numbers does not
    stand out; (rows,).
    """
    scale = float(np.mean(np.sum(a * a, axis=1) + np.sum(b * b, axis=1)))
    return np.asarray(np.sum((a - b) ** 2, axis=1) / max(scale, np.finfo(np.float64).tiny))


def vary_alike(a: Rows, b: Rows) -> bool:
    """Whether both sides differ between samples in the same way: answers that hardly differ are
    near to each other whatever they are.
    """
    both = (rows - rows.mean(axis=0) for rows in (a, b))
    return float(distances(*both).mean()) <= _APART


def alignment(a: Rows, b: Rows) -> float:
    """Whether the samples lie to each other on both sides alike, 1 where they do, whatever turned,
    shifted or scaled one side: linear centred kernel alignment (Kornblith and others, "Similarity
    of Neural Network Representations Revisited", 2019); both (samples, classes).
    """
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    sizes = np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    if not np.isfinite(sizes) or sizes == 0:
        return 0.0
    return float(np.linalg.norm(a.T @ b) ** 2 / sizes)


def chosen(distance: Rows, count: int) -> NDArray[np.int64]:
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


class Measure:
    """Makes outputs comparable, without what all samples have in common: that proves nothing about
    any of them.
    """

    def __init__(self, port: Rows, right: Rows) -> None:
        self.softmax = are_probabilities(port)
        self._as_probabilities = self.softmax or are_probabilities(right)
        plain = comparable(right, self._as_probabilities)
        self.common = plain.mean(axis=0) if len(plain) > 1 else np.zeros(plain.shape[1])

    def __call__(self, rows: Rows) -> Rows:
        """Rows of either side, comparable, (rows, classes)."""
        return comparable(rows, self._as_probabilities) - self.common
