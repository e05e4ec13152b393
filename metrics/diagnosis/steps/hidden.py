"""Faults that do not show because classes or samples are in another order besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import Candidate, Found, Tried, as_found
from portproof.metrics.diagnosis.likeness import Measure, Rows, unlikeness, unlikeness_matrix
from portproof.metrics.diagnosis.model.trial import Trial
from portproof.metrics.diagnosis.preprocessing import Made, Preprocessing

#: What a fault leaves at most of what the reference leaves in every order.
_LEFT = 0.1
#: Where the reference leaves so little in some order, there is nothing to look for.
_NOTHING = 1e-3


def in_another_order(tries: Preprocessing, common: Rows) -> list[Found]:
    """Usual mistakes of preprocessing with which the reference gives the port's outputs, but for
    the order of the classes or of the samples. ``common``: what the measure took from all rows.
    """
    found = []
    for made in tries.seen:
        for words, left in _by_orders(tries, made, common):
            if left <= _LEFT:
                said = f"gives the port's outputs in another order of the {words}"
                one = tries.found_as(made.mistake, said, 1 - left, left)
                found.append(replace(one, besides="order"))
    return sorted(found, key=lambda f: f.left or 0.0)


def _by_orders(tries: Preprocessing, made: Made, common: Rows) -> Iterator[tuple[str, float]]:
    theirs, plain = tries.port[made.rows], tries.plain[made.rows]
    by_size = sizes(plain, common)
    before = float(unlikeness(by_size(theirs), by_size(plain)).mean())
    if before > _NOTHING:
        yield "classes", float(unlikeness(by_size(theirs), by_size(made.answers)).mean()) / before
    before = float(unlikeness_matrix(plain, tries.port).min(axis=1).mean())
    if before > _NOTHING:
        after = float(unlikeness_matrix(made.answers, tries.port).min(axis=1).mean())
        yield "samples", after / before


def sizes(plain: Rows, common: Rows) -> Callable[[Rows], Rows]:
    """Makes rows comparable in every order of classes: their values in order of size, without what
    those of the reference have in common.
    """
    usual = np.sort(plain + common, axis=1).mean(axis=0)
    return lambda rows: np.sort(rows + common, axis=1) - usual


@dataclass
class Anywhere(Trial):
    """Compares answers with the port's nearest ones of ``every`` sample, whichever that is."""

    every: Rows = field(default_factory=lambda: np.zeros((0, 0)))

    def _left(self, rows: Rows, at: NDArray[np.int64]) -> float:
        made = self.measure(rows)
        if not np.isfinite(made).all():
            return 1e9
        before, after = (
            float(unlikeness_matrix(answers, self.every).min(axis=1).mean())
            for answers in (self.plain[at], made)
        )
        return after / max(before, _NOTHING)


def inside_of_any_sample(trial: Trial, port: Rows, none: Candidate) -> list[Found]:
    """Faults inside the model beside an order of the samples. ``port``: the answers of all."""
    parts = {f.name: getattr(trial, f.name) for f in fields(Trial)}
    anywhere = Anywhere(**{**parts, "tried": []}, every=port)
    before = float(unlikeness_matrix(trial.plain, port).min(axis=1).mean())
    if before <= _NOTHING:
        return []
    return _beside_an_order(anywhere.all(), none)


def inside_in_another_order(trial: Trial, measure: Measure, none: Candidate) -> list[Found]:
    """The same for faults inside the model and an order of the classes."""
    by_size, inner = sizes(trial.plain, measure.common), trial.measure
    turned = replace(
        trial,
        port=by_size(trial.port),
        plain=by_size(trial.plain),
        measure=lambda rows: by_size(inner(rows)),
        tried=[],
    )
    if float(unlikeness(turned.port, turned.plain).mean()) <= _NOTHING:
        return []
    return _beside_an_order(turned.all(), none)


def _beside_an_order(tried: list[Tried], none: Candidate) -> list[Found]:
    likely = [f for f in as_found(tried, none) if (f.left or 0.0) <= _LEFT]
    return [replace(f, besides="order") for f in likely]
