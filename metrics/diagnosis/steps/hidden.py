"""Faults that do not show because classes or samples are in another order besides, or outputs bent
by a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

import numpy as np
from msgspec.structs import replace as with_other
from numpy.typing import NDArray
from scipy.stats import rankdata

from portproof.metrics.diagnosis.candidates import Candidate, Found, Tried, as_found
from portproof.metrics.diagnosis.likeness import (
    Measure,
    Rows,
    unlikeness,
    unlikeness_matrix,
    vary_alike,
)
from portproof.metrics.diagnosis.model.network import Layer
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.preprocessing import Made, Preprocessing
from portproof.metrics.diagnosis.steps.trial import Trial

#: What a fault leaves at most of what the reference leaves in every order; what numbers that were
#: fitted leave, since some are near in some order.
_LEFT, _ENTIRELY = 0.1, 0.01
#: Where the reference leaves so little in some order, there is nothing to look for.
_NOTHING = 1e-3
_CLASSES = "whatever the order of the classes is"
_SAMPLES = "whatever the order of the samples is"


@dataclass(frozen=True)
class View:
    """Makes comparable rows so that another fault does not show in them. ``besides``: that fault,
    as :class:`Found` has it.
    """

    besides: str
    words: str
    see: Callable[[Rows], Rows]

    def through(self, measure: Callable[[Rows], Rows]) -> Callable[[Rows], Rows]:
        """The measure of this view, of what another one makes comparable."""
        return lambda rows: self.see(measure(rows))


def views(plain: Rows, common: Rows, curves: bool) -> list[View]:
    """Rows whatever the order of the classes is, and with ``curves`` whatever function that grows
    was applied to each value. Without what those of the reference, ``plain``, have in common;
    ``common``: what the measure took from all rows.
    """
    seen = [View("order", _CLASSES, _without_usual(_sizes, plain, common))]
    if curves:
        words = "whatever function that grows bends each of them"
        seen.append(View("function", words, _without_usual(_ranks, plain, common)))
    return seen


def _without_usual(
    see: Callable[[Rows], Rows], plain: Rows, common: Rows
) -> Callable[[Rows], Rows]:
    usual = see(plain + common).mean(axis=0)
    return lambda rows: see(rows + common) - usual


def _sizes(rows: Rows) -> Rows:
    """The values of a row in order of size."""
    return np.sort(rows, axis=1)


def _ranks(rows: Rows) -> Rows:
    """The places of the values of a row in their order of size."""
    return np.asarray(rankdata(rows, axis=1))


def mistakes_behind(tries: Preprocessing, common: Rows) -> list[Found]:
    """Usual mistakes of preprocessing with which the reference gives the port's outputs, but for
    the order of the classes or of the samples, or a function of each value.
    """
    found = []
    seen = views(tries.plain, common, tries.state.made is None)
    for made in tries.seen:
        for besides, words, left in (*_seen(tries, made, seen), *_of_any_sample(tries, made)):
            if left <= _LEFT:
                said = f"gives the port's outputs {words}"
                one = tries.found_as(made.mistake, said, 1 - left, left)
                found.append(replace(one, besides=besides))
    return sorted(found, key=lambda f: f.left or 0.0)


def _seen(tries: Preprocessing, made: Made, seen: list[View]) -> Iterator[tuple[str, str, float]]:
    for view in seen:
        theirs, plain = view.see(tries.port[made.rows]), view.see(tries.plain[made.rows])
        before = float(unlikeness(theirs, plain).mean())
        ours = view.see(made.answers)
        if before > _NOTHING and vary_alike(theirs, ours):
            yield view.besides, view.words, float(unlikeness(theirs, ours).mean()) / before


def _of_any_sample(tries: Preprocessing, made: Made) -> Iterator[tuple[str, str, float]]:
    before = float(unlikeness_matrix(tries.plain[made.rows], tries.port).min(axis=1).mean())
    matrix = unlikeness_matrix(made.answers, tries.port)
    if before > _NOTHING and vary_alike(tries.port[matrix.argmin(axis=1)], made.answers):
        yield "order", _SAMPLES, float(matrix.min(axis=1).mean()) / before


def orders_behind(tries: Preprocessing, common: Rows) -> list[Found]:
    """Orders of the samples, whatever the order of the classes is."""
    see = _without_usual(_sizes, tries.plain, common)
    theirs, plain = see(tries.port), see(tries.plain)
    before = float(unlikeness(theirs, plain).mean())
    if before <= _NOTHING:
        return []
    found = [
        f
        for f in Mixed(tries.state.compared, theirs, plain).explanations()
        if f.there is not None and 1 - f.candidate.score <= _LEFT * before
    ]
    return _said(sorted(found, key=lambda f: -f.candidate.score), View("order", _CLASSES, see))


def fits_behind(tries: Preprocessing, common: Rows) -> list[Found]:
    """Mistakes with numbers that may be any, whatever the order of the classes is."""
    (view,) = views(tries.plain, common, curves=False)
    turned = replace(
        tries,
        port=view.see(tries.port),
        plain=view.see(tries.plain),
        measure=view.through(tries.measure),
    )
    fitted = sorted(turned.fits([], _ENTIRELY), key=lambda f: f.left or 0.0)
    return _said([f for f in fitted if (f.left or 0.0) <= _LEFT], view)


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
    return _likely(anywhere.all(), none, View("order", _SAMPLES, lambda rows: rows))


def inside_behind(
    trial: Trial, measure: Measure, none: Candidate, curves: bool, only: Layer | None = None
) -> list[Found]:
    """The same for faults inside the model, or in one layer ``only``, and another order of the
    classes, and with ``curves`` a function of each value.
    """
    found = []
    for view in views(trial.plain, measure.common, curves):
        turned = replace(
            trial,
            port=view.see(trial.port),
            plain=view.see(trial.plain),
            measure=view.through(trial.measure),
            tried=[],
        )
        if float(unlikeness(turned.port, turned.plain).mean()) > _NOTHING:
            tried = turned.of_layer(only) if only else turned.all()
            found += _likely(tried, none, view)
    return sorted(found, key=lambda f: f.left or 0.0)


def _likely(tried: list[Tried], none: Candidate, view: View) -> list[Found]:
    return _said([f for f in as_found(tried, none) if (f.left or 0.0) <= _LEFT], view)


def _said(found: list[Found], view: View) -> list[Found]:
    """With what else there must be in the evidence."""
    return [
        replace(
            f,
            candidate=with_other(f.candidate, evidence=f"{f.candidate.evidence} {view.words}"),
            besides=view.besides,
        )
        for f in found
    ]
