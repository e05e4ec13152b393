"""Results that are the reference's answer to another sample, or to none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of, text_order
from portproof.metrics.diagnosis.defects import place_of
from portproof.metrics.diagnosis.likeness import SAME, Rows, distances, unlikeness_matrix
from portproof.metrics.diagnosis.look import Compared, Mask

Places = NDArray[np.int64]

#: Workers who share the samples.
_PARTS = (2, 3, 4, 8)
#: A row belongs to another sample if the next best is so much worse than the best.
_CLEAR = 0.25
#: Results stand out if they are so many times as far off as the usual one.
_FAR = 20
#: A difference that is no matter of order of arithmetic or of half precision.
_LEAST = 1e-3


@dataclass(frozen=True)
class Order:
    """A way to mix up samples: the result of sample i is that of sample ``source[i]``."""

    fault: str
    words: str
    source: Places


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Digits by their value, all else as text: img_2 before img_10."""
    parts = re.split(r"([0-9]+)", name)
    return [(not p.isdigit(), int(p) if p.isdigit() else 0, p) for p in parts]


def usual_orders(every: Sequence[str], labels: Places) -> Iterator[Order]:
    """The orders in which lists of samples are written by mistake."""
    n = len(every)
    here = np.arange(n)
    natural = np.array(sorted(range(n), key=lambda i: natural_key(every[i])))
    seen = {tuple(here.tolist())}
    yield Order("samples-reversed", "the order is reversed", here[::-1])
    for source, words in _text_orders(natural):
        if tuple(source.tolist()) not in seen:
            seen.add(tuple(source.tolist()))
            yield Order("samples-text-order", words, source)
    by_class = np.lexsort((here, labels))
    for source in (by_class, np.argsort(by_class)):
        if tuple(source.tolist()) not in seen:
            yield Order("samples-class-order", "they are in the order of the classes", source)
    for parts in _PARTS:
        in_turn = np.concatenate([here[part::parts] for part in range(parts)])
        words = f"those of {parts} workers, who took samples in turn, stand one after the other"
        yield Order("samples-interleaved", words, in_turn)
        words = f"{parts} parts of the samples, one after the other, were taken in turn"
        yield Order("samples-interleaved", words, np.argsort(in_turn))


def _text_orders(natural: Places) -> Iterator[tuple[Places, str]]:
    n = len(natural)
    words = "numbers were sorted as text (0, 1, 10, 100, ...)"
    yield natural, words
    yield np.argsort(natural), words
    for first in (0, 1):
        text = text_order(n, first)
        for order in (text, np.argsort(text)):
            source = np.empty(n, np.int64)
            source[natural] = natural[order]
            yield source, words
            yield order, words


class Mixed:
    """Every row of the port against every row of the reference: who belongs to whom."""

    def __init__(self, compared: Compared, port: Rows, plain: Rows) -> None:
        self.compared = compared
        self.matrix = unlikeness_matrix(port, plain)
        self.own = np.diagonal(self.matrix)
        self.odd = self._odd(distances(port, plain))
        ranked = np.sort(self.matrix, axis=1)
        self.closest = self.matrix.argmin(axis=1)
        self.best = ranked[:, 0]
        second = ranked[:, min(1, len(ranked) - 1)]
        here = np.arange(len(self.matrix))
        #: Rows that are clearly the answer to another sample.
        self.moved = (
            (self.closest != here)
            & (self.best < SAME)
            & (self.best <= _CLEAR * second)
            & (self.best <= _CLEAR * self.own)
        )

    @staticmethod
    def _odd(distance: Rows) -> Mask:
        """The rows that are not the reference's; all of them if the usual one is not."""
        usual = float(np.quantile(distance, 0.5))
        if usual > SAME:
            usual = float(np.quantile(distance, 0.1))
        if usual > SAME:
            return np.ones(len(distance), bool)
        return distance > max(_LEAST, _FAR * usual)

    def explanations(self) -> list[Found]:
        """Orders and copies that say whose answer each odd result is; then, if there are none,
        that the odd ones are of another run.
        """
        if len(self.matrix) < 3 or not self.odd.any():
            return []
        means = self.shifted()
        offset = min(means, key=lambda k: (means[k], abs(k)), default=0)
        return [*self.every_order(offset), *self._matched()]

    def every_order(self, offset: int) -> list[Found]:
        """A shift by so many places, unless it is 0, and the usual orders."""
        return [*([self._shift(offset)] if offset else []), *self._orders()]

    def shifted(self) -> dict[int, float]:
        """How unlike both sides are with all results moved by so many places."""
        n = len(self.matrix)
        return {
            k: float(np.diagonal(self.matrix, k).mean())
            for k in range(-(n // 2), n // 2 + 1)
            if k and n - abs(k) >= 3
        }

    def sound(self) -> float:
        """The share of rows that are the reference's, where the others are clearly not."""
        return float(1 - self.odd.mean()) if self.odd.any() else 0.0

    def stale(self) -> list[Found]:
        """Some results are the reference's, the others are nobody's."""
        odd, n = self.odd, len(self.odd)
        if not 0 < odd.sum() <= 0.9 * n or n < 3:
            return []
        if self.own[odd].sum() < 0.5 * self.own.sum() or np.median(self.own[odd]) < SAME:
            return []
        place = place_of(self.compared.ids, odd)
        return [
            Found(
                Candidate(
                    "stale-results",
                    1 - float(self.own[~odd].mean()),
                    f"{odd.sum()} of {n} results differ entirely, the others are the reference's"
                    f" ({place})",
                    "results of another run or of padding are among these: empty the folder, run"
                    " again, and see that the last batch is whole",
                ),
                explained=odd,
            )
        ]

    def _shift(self, offset: int) -> Found:
        """All results moved by one number of places."""
        n = len(self.matrix)
        here = np.arange(n)
        there = np.clip(here + offset, 0, n - 1)
        kept = here + offset == there
        ids = self.compared.ids
        first = int(np.flatnonzero(kept)[0])
        evidence = (
            f"{kept.sum()} of {n} results belong to another sample (that of {ids[first]} is the"
            f" reference's of {ids[there[first]]}; the offset is {offset} samples)"
        )
        left = np.where(kept, self.matrix[here, there], self.best)
        return self._found("samples-shifted", left, evidence, np.where(kept, there, -1))

    def _orders(self) -> list[Found]:
        """The usual orders, as far as both samples are among those compared."""
        compared, found = self.compared, []
        row_of = np.full(len(compared.every), -1)
        row_of[compared.at] = np.arange(len(compared.at))
        for order in usual_orders(compared.every, compared.labels):
            there = row_of[order.source[compared.at]]
            known = there >= 0
            if known.sum() < 3 or (order.source == np.arange(len(order.source))).all():
                continue
            rows = np.flatnonzero(known)
            left = self.matrix[rows, there[rows]]
            evidence = (
                f"results belong to another sample: {order.words}; in this order they differ by"
                f" {left.mean():.2g}"
            )
            found.append(self._found(order.fault, left, evidence, there))
        return found

    def _matched(self) -> list[Found]:
        """Each row with the one it is nearest to, where that is beyond doubt."""
        moved, n = self.moved, len(self.moved)
        if moved.sum() < 2 or moved.sum() < 0.6 * self.odd.sum():
            return []
        ids, first = self.compared.ids, int(np.flatnonzero(moved)[0])
        example = f"that of {ids[first]} is the reference's of {ids[self.closest[first]]}"
        left = np.where(moved, self.best, self.own)
        sources = self.closest[moved]
        exchanged = float(np.mean(moved[sources])) >= 0.5 and len(set(sources.tolist())) > (
            0.7 * len(sources)
        )
        if exchanged:
            evidence = f"{moved.sum()} of {n} results belong to another sample ({example})"
            return [self._found("samples-shuffled", left, evidence, self.closest)]
        evidence = (
            f"{moved.sum()} of {n} results repeat those of other samples ({example};"
            f" {place_of(ids, moved)})"
        )
        fix = (
            "the last batch was filled up with other samples, or a buffer was written twice: keep"
            " only the results of real samples, empty the folder and run again"
        )
        candidate = Candidate("repeated-results", score_of(left), evidence, fix)
        return [Found(candidate, explained=moved)]

    def _found(self, fault: str, left: Rows, evidence: str, there: Places) -> Found:
        """``there``: for each row of the port, whose answer it is. Once every row lies where it
        belongs, the port's accuracy is that of its rows with those labels.
        """
        fix = (
            "name results by sample id: check the order and the index of the info list, and that"
            " the result folder was empty"
        )
        known = there >= 0
        hits = self.compared.port.argmax(axis=1)[known] == self.compared.truth[there[known]]
        candidate = Candidate(fault, score_of(left), evidence, fix)
        return Found(candidate, accuracy=float(hits.mean()), there=there)
