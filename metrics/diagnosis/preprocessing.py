"""Mistakes of preprocessing tried on the reference: every usual one, those with numbers that may be
any, and pairs of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from msgspec.structs import replace as with_other
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING, Candidate, Found, score_of
from portproof.metrics.diagnosis.fitting import (
    Numbers,
    coarse_starts,
    families,
    fitted_constants,
    searched,
)
from portproof.metrics.diagnosis.likeness import Rows, chosen, distances, unlikeness
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.diagnosis.steps.state import State
from portproof.preprocess.mistakes.mistake import Change, Mistake
from portproof.preprocess.mistakes.usual import usual_mistakes
from portproof.recipe import Recipe, describe

#: Every mistake is tried on so few images, the likeliest ones on more.
_FIRST, _MORE, _LIKELY = 4, 24, 8
#: Numbers are fitted to so many images, for so long at most.
_FITTED, _FITS_S, _STARTS = 6, 30.0, 3
#: A row that differs, and what a mistake leaves of rows that it explains entirely.
_MOVED, _ENTIRELY = 1e-6, 0.01


@dataclass(frozen=True)
class Made:
    """A mistake, and what the reference answers with it to some ``rows`` of the samples, made
    comparable.
    """

    mistake: Mistake
    rows: NDArray[np.int64]
    answers: Rows


@dataclass(frozen=True)
class Preprocessing:
    """What a mistake of preprocessing is tried on. ``seen``: the usual ones, once they were."""

    model: Reference
    state: State
    measure: Callable[[Rows], Rows]
    port: Rows
    plain: Rows
    seen: list[Made] = field(default_factory=list)

    def of(self, mistake: Mistake, rows: NDArray[np.int64]) -> list[Found]:
        """The reference made to make the mistake, on some of the samples."""
        return [self.found(made) for made in self.made(mistake, rows)]

    def made(self, mistake: Mistake, rows: NDArray[np.int64]) -> list[Made]:
        """What the reference answers with a mistake; nothing if a package for it is missing."""
        try:
            return [Made(mistake, rows, self.measure(self._outputs(mistake, rows)))]
        except MissingPackageError as error:
            progress.warn(f"not tried: {mistake.part} of {mistake.found}; {error}")
        except InputError:  # such a resize makes nothing of these images
            pass
        return []

    def found(self, made: Made) -> Found:
        """What the answers with a mistake leave."""
        left = unlikeness(self.port[made.rows], made.answers)
        before = unlikeness(self.port[made.rows], self.plain[made.rows])
        said = f"differs by {left.mean():.2g}"
        return self.found_as(made.mistake, said, score_of(left), _share(left, before))

    def found_as(self, mistake: Mistake, said: str, score: float, left: float) -> Found:
        """A mistake that leaves a share of the difference; ``said``: what it makes of answers."""
        assert mistake.fault is not None
        candidate = Candidate(
            mistake.fault,
            score,
            f"{mistake.part}: {mistake.found} instead of {mistake.asked}; the reference made to do"
            f" so {said}",
            f"{mistake.fix}; preprocess with the card's recipe ({describe(self.model.recipe)})",
        )
        return Found(candidate, left=left, mistake=mistake)

    def _outputs(self, mistake: Mistake, rows: NDArray[np.int64]) -> Rows:
        images = [self.state.compared.images[i] for i in rows]
        made = self.model.outputs(images, mistake, changed=self.state.changed)
        return self.state.answers(made)

    def all(self) -> list[Found]:
        """Every mistake on a few images, the likeliest ones on more."""
        past = self.state.mistake
        mistakes = [
            replace(m, changes=past.changes + m.changes) if past else m
            for m in usual_mistakes(past.recipe if past else self.model.recipe)
            if m.fault is not None
        ]
        distance = distances(self.port, self.plain)
        few, more = chosen(distance, _FIRST), chosen(distance, _MORE)
        with progress.meter("diagnose: preprocessing", len(mistakes), "mistakes") as meter:
            for mistake in mistakes:
                self.seen.extend(self.made(mistake, few))
                meter.advance()
        first = [self.found(made) for made in self.seen]
        if len(more) == len(few):
            return first
        first.sort(key=lambda f: f.left or 0.0)
        likely = [f for f in first[:_LIKELY] if f.left is not None and f.left < 0.8]
        again = [g for f in likely if f.mistake for g in self.of(f.mistake, more)]
        return [*again, *(f for f in first if f not in likely)]

    def fits(self, found: list[Found], within: float = NEXT_TO_NOTHING) -> list[Found]:
        """Mistakes with numbers that may be any: the numbers that fit best. Constants are believed
        that leave at most ``within``: six numbers that may be any come near to much that is no
        matter of constants.
        """
        recipe, changes = self._past()
        rows = chosen(distances(self.port, self.plain), _FITTED)
        fitted: list[Found] = []
        began = time.monotonic()
        for family in families(recipe, changes):
            if time.monotonic() - began > _FITS_S:
                progress.say("diagnose: sizes and places were tried in part: it took too long")
                break
            best = searched(family, self._left_of_few(rows))
            if best and best[0] < 0.8:
                fitted += self.of(best[1], rows)
        if recipe.dtype != "uint8":
            until = max(began + _FITS_S, time.monotonic() + _FITS_S / 3)
            fitted += self.constants(found, within, until)
            if not fitted and time.monotonic() - began < _FITS_S:
                fitted += self._beside_constants(recipe, found, rows)
        return fitted

    def constants(self, found: list[Found], within: float, until: float) -> list[Found]:
        """Mean and std that fit best, if they leave at most ``within``; none for bytes, which have
        no constants.
        """
        recipe, changes = self._past()
        if recipe.dtype == "uint8":
            return []
        rows = chosen(distances(self.port, self.plain), _FITTED)
        starts = [replace(m, changes=changes) for m in coarse_starts(recipe)]
        few_starts = sorted(starts, key=self._left_of_few(rows))[:_STARTS]
        return self._constants(recipe, found, rows, few_starts, within=within, until=until)

    def _past(self) -> tuple[Recipe, tuple[Change, ...]]:
        """The recipe and the changes of what was found before."""
        past = self.state.mistake
        return (past.recipe, past.changes) if past else (self.model.recipe, ())

    def _left_of_few(self, rows: NDArray[np.int64]) -> Callable[[Mistake], float]:
        """What a mistake leaves of three of the rows."""
        few = rows[:: max(1, len(rows) // 3)][:3]

        def left_by(mistake: Mistake) -> float:
            made = self.of(mistake, few)
            return (made[0].left or 0.0) if made else 9e9

        return left_by

    def _constants(
        self,
        recipe: Recipe,
        found: list[Found],
        rows: NDArray[np.int64],
        coarse: list[Mistake],
        *,
        within: float,
        until: float,
    ) -> list[Found]:
        """Constants from those of the recipe, the best of the usual and of some ``coarse`` ones, as
        far as there is time.
        """
        changes = coarse[0].changes
        usual = sorted(
            (f for f in found if f.mistake and f.mistake.changes == changes),
            key=lambda f: f.left or 0.0,
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
            mistake = self._fitted(recipe, start, rows, changes)
            fitted += [f for f in self.of(mistake, rows) if (f.left or 0.0) <= within]
            if fitted or time.monotonic() > until:
                break
        return fitted

    def _fitted(
        self,
        recipe: Recipe,
        start: tuple[Numbers, Numbers],
        rows: NDArray[np.int64],
        changes: tuple[Change, ...],
    ) -> Mistake:
        return fitted_constants(
            recipe,
            start,
            lambda m: self.measure(self._outputs(m, rows)),
            self.port[rows],
            changes,
        )

    def _beside_constants(
        self, recipe: Recipe, found: list[Found], rows: NDArray[np.int64]
    ) -> list[Found]:
        """The likeliest mistakes that leave the constants alone, if other constants besides leave
        next to nothing.
        """
        own = (recipe.divide, recipe.mean, recipe.std)
        likely = [
            f.mistake
            for f in sorted(found, key=lambda f: f.left or 0.0)
            if f.mistake
            and (f.mistake.recipe.divide, f.mistake.recipe.mean, f.mistake.recipe.std) == own
        ]
        for first in likely[:_STARTS]:
            start = recipe.mean, recipe.std
            both = self._fitted(first.recipe, start, rows, first.changes)
            for made in self.of(both, rows):
                if (made.left or 0.0) <= NEXT_TO_NOTHING:
                    return [self.first_of_two(first, made)]
        return []

    def first_of_two(self, first: Mistake, both: Found) -> Found:
        """A mistake that shows with another besides, which is found once this one is mended."""
        assert both.mistake is not None
        score = both.candidate.score
        said = f"and to do this as well ({both.mistake.found}) differs by {1 - score:.2g}"
        return replace(self.found_as(first, said, score, both.left or 0.0), besides="mistake")

    def same_as(
        self, best: Found, answers: Callable[[NDArray[np.int64]], Rows], orders: Sequence[Found]
    ) -> list[Found]:
        """The usual mistakes, and the ``orders`` of classes, that come to the same as the best
        explanation. ``answers``: what the reference answers with that to some rows.
        """
        if not self.seen:
            return []
        rows, score, left = self.seen[0].rows, best.candidate.score, best.left or 0.0
        wanted = self.measure(answers(rows))

        def is_same(made: Rows) -> bool:
            return float(unlikeness(wanted, made).mean()) <= _MOVED

        found = [
            self.found_as(made.mistake, f"differs by {1 - score:.2g}", score, left)
            for made in self.seen
            if np.array_equal(made.rows, rows) and is_same(made.answers)
        ]
        right = self.state.right[rows]
        return found + [
            replace(f, left=left, candidate=with_other(f.candidate, score=score))
            for f in orders
            if f.columns is not None and is_same(self.measure(right[:, f.columns]))
        ]


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
