"""Mistakes of preprocessing tried on the reference: every usual one, those with numbers that may be
any, and pairs of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.fitting import (
    Numbers,
    coarse_starts,
    families,
    fitted_constants,
    searched,
)
from portproof.metrics.diagnosis.likeness import Rows, distances, unlikeness
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.reference import Reference
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.mistakes.usual import usual_mistakes
from portproof.recipe import Recipe, describe

#: Every mistake is tried on so few images, the likeliest ones on more.
_FIRST, _MORE, _LIKELY = 4, 24, 8
#: Pairs are made of so many kinds, tried on so few images, and for so long at most.
_KINDS, _PAIRED, _PAIRS_S = 6, 3, 30.0
#: Numbers are fitted to so many images, for so long at most.
_FITTED, _FITS_S, _STARTS = 6, 30.0, 3
#: A pair, and a fit, must leave next to nothing.
_NEXT_TO_NOTHING = 0.05
#: A row that differs, and what a mistake leaves of rows that it explains entirely.
_MOVED, _ENTIRELY = 1e-6, 0.01


@dataclass(frozen=True)
class State:
    """The samples about which something is left to say, and the reference's answers to them, with
    what was found so far.
    """

    compared: Compared
    right: Rows
    columns: NDArray[np.int64]
    mistake: Mistake | None = None
    changed: Changed | None = None


@dataclass(frozen=True)
class Preprocessing:
    """What a mistake of preprocessing is tried on."""

    model: Reference
    state: State
    measure: Callable[[Rows], Rows]
    port: Rows
    plain: Rows

    def of(self, mistake: Mistake, rows: NDArray[np.int64]) -> list[Found]:
        """The reference made to make the mistake, on some of the samples; nothing if a package for
        it is missing.
        """
        assert mistake.fault is not None
        try:
            outputs = self._outputs(mistake, rows)
        except MissingPackageError as error:
            progress.warn(f"not tried: {mistake.part} of {mistake.found}; {error}")
            return []
        except InputError:  # such a resize makes nothing of these images
            return []
        left = unlikeness(self.port[rows], self.measure(outputs))
        before = unlikeness(self.port[rows], self.plain[rows])
        candidate = Candidate(
            mistake.fault,
            score_of(left),
            f"{mistake.part}: {mistake.found} instead of {mistake.asked}; the reference made to do"
            f" so differs by {left.mean():.2g}",
            f"{mistake.fix}; preprocess with the card's recipe ({describe(self.model.recipe)})",
        )
        return [Found(candidate, left=_share(left, before), mistake=mistake)]

    def _outputs(self, mistake: Mistake, rows: NDArray[np.int64]) -> Rows:
        images = [self.state.compared.images[i] for i in rows]
        made = self.model.outputs(images, mistake, changed=self.state.changed)
        return made[:, self.state.columns]

    def all(self) -> list[Found]:
        """Every mistake on a few images, the likeliest ones on more."""
        past = self.state.mistake
        mistakes = [
            replace(m, changes=past.changes + m.changes) if past else m
            for m in usual_mistakes(past.recipe if past else self.model.recipe)
            if m.fault is not None
        ]
        distance = distances(self.port, self.plain)
        few, more = _chosen(distance, _FIRST), _chosen(distance, _MORE)
        first: list[Found] = []
        with progress.meter("diagnose: preprocessing", len(mistakes), "mistakes") as meter:
            for mistake in mistakes:
                first += self.of(mistake, few)
                meter.advance()
        if len(more) == len(few):
            return first
        first.sort(key=lambda f: f.left or 0.0)
        likely = [f for f in first[:_LIKELY] if f.left is not None and f.left < 0.8]
        again = [g for f in likely if f.mistake for g in self.of(f.mistake, more)]
        return [*again, *(f for f in first if f not in likely)]

    def fits(self, found: list[Found]) -> list[Found]:
        """Mistakes with numbers that may be any: the numbers that fit best."""
        past = self.state.mistake
        recipe = past.recipe if past else self.model.recipe
        if past and past.changes:
            return []
        rows = _chosen(distances(self.port, self.plain), _FITTED)
        few = rows[:: max(1, len(rows) // 3)][:3]

        def left_by(mistake: Mistake) -> float:
            made = self.of(mistake, few)
            return (made[0].left or 0.0) if made else 9e9

        fitted: list[Found] = []
        began = time.monotonic()
        for family in families(recipe):
            if time.monotonic() - began > _FITS_S:
                progress.say("diagnose: sizes and places were tried in part: it took too long")
                break
            best = searched(family, left_by)
            if best and best[0] < 0.8:
                fitted += self.of(best[1], rows)
        if recipe.dtype != "uint8":
            few_starts = sorted(coarse_starts(recipe), key=left_by)[:_STARTS]
            fitted += self._constants(recipe, found, rows, few_starts)
        return fitted

    def _constants(
        self,
        recipe: Recipe,
        found: list[Found],
        rows: NDArray[np.int64],
        coarse: list[Mistake],
    ) -> list[Found]:
        """Constants from those of the recipe, the best of the usual and of some ``coarse`` ones."""
        usual = sorted(
            (f for f in found if f.mistake and not f.mistake.changes), key=lambda f: f.left or 0.0
        )
        starts: list[tuple[Numbers, Numbers]] = [(recipe.mean, recipe.std)]
        starts += [(m.recipe.mean, m.recipe.std) for m in coarse]
        for f in usual[:3]:
            assert f.mistake is not None
            own, scale = f.mistake.recipe, f.mistake.recipe.divide / recipe.divide
            same = (own.channels, own.layout, own.resize) == (
                recipe.channels, recipe.layout, recipe.resize
            )  # fmt: skip
            if same:
                starts.append(
                    (tuple(m * scale for m in own.mean), tuple(s * scale for s in own.std))
                )
        fitted = []
        for start in dict.fromkeys(starts):
            mistake = fitted_constants(
                recipe,
                start,
                lambda m: self.measure(self._outputs(m, rows)),
                self.port[rows],
            )
            fitted += self.of(mistake, rows)
            if fitted[-1].left is not None and fitted[-1].left < _NEXT_TO_NOTHING:
                break
        return fitted

    def pairs(self, found: list[Found]) -> list[Found]:
        """Two mistakes of which neither fits alone: the likeliest kinds with every other on top."""
        rows = _chosen(distances(self.port, self.plain), _PAIRED)
        firsts: dict[str, Mistake] = {}
        for single in sorted((f for f in found if f.mistake), key=lambda f: f.left or 0.0):
            if single.mistake and len(firsts) < _KINDS:
                firsts.setdefault(single.candidate.fault, single.mistake)
        both = [
            replace(m, changes=first.changes + m.changes, part=f"{first.found}, and {m.part}")
            for first in firsts.values()
            for m in usual_mistakes(first.recipe)
            if m.fault is not None and m.fault != first.fault
        ]
        tried: list[Found] = []
        began = time.monotonic()
        with progress.meter("diagnose: pairs of mistakes", len(both), "pairs") as meter:
            for mistake in both:
                if time.monotonic() - began > _PAIRS_S:
                    progress.say("diagnose: pairs of mistakes were tried in part: it took too long")
                    break
                tried += self.of(mistake, rows)
                meter.advance()
        more = _chosen(distances(self.port, self.plain), _MORE)
        best = min(tried, key=lambda f: f.left or 0.0, default=None)
        again = self.of(best.mistake, more) if best and best.mistake else []
        return [f for f in again if (f.left or 0.0) <= _NEXT_TO_NOTHING]


def _low(values: Rows) -> float:
    """One of the lower values: 2 of 5 are not above it."""
    return float(np.sort(values)[int(0.4 * (len(values) - 1))])


def _share(left: Rows, before: Rows) -> float:
    """The share of the difference that is left; that of most rows where a mistake explains these
    entirely, and results of another run stand between them.
    """
    moved = before > _MOVED
    if moved.sum() >= 4:
        most = _low(left[moved]) / _low(before[moved])
        if most < _ENTIRELY:
            return most
    return float(left.mean()) / max(float(before.mean()), 1e-300)


def _chosen(distance: Rows, count: int) -> NDArray[np.int64]:
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
