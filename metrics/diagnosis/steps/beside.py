"""A mistake of preprocessing and a fault inside the model at once, neither of which fits alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from portproof.core import progress
from portproof.metrics.diagnosis.candidates import (
    NEXT_TO_NOTHING,
    Candidate,
    Found,
    as_found,
    is_quiet,
    left_by,
)
from portproof.metrics.diagnosis.fitting import families, searched
from portproof.metrics.diagnosis.likeness import alignment
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.steps.trial import Trial
from portproof.metrics.diagnosis.steps.weighing import ENOUGH
from portproof.preprocess.mistakes.mistake import Mistake

#: Faults inside are looked for so long behind each mistake, and for so long in all; of so many that
#: fit, though not exactly, the best is taken.
_EACH_S, _ALL_S, _BOTH = 5.0, 30.0, 4
#: Where samples lie to each other is looked at on so many of them, for so long at most, and so long
#: with numbers that may be any.
_ROWS, _ROWS_S, _FITS_S = 32, 10.0, 10.0
#: So many mistakes of a kind are tried before the next of another.
_OF_A_KIND = 2


def beside_a_mistake(
    tries: Preprocessing, inside: Trial, none: Candidate, others: list[Found]
) -> list[Found]:
    """A mistake of ``others`` that leaves next to nothing with a fault inside the model on top,
    which is found once the mistake is mended: the likeliest are tried first.
    """
    images = tries.state.compared.images[: len(inside.port)]
    # Of a difference that may be of 8 bits, numbers that may be any take much with them.
    most = ENOUGH if is_quiet(none) else NEXT_TO_NOTHING
    began = time.monotonic()
    both: list[Found] = []
    for found in _likeliest(tries, [f for f in others if f.mistake], none):
        mistake = found.mistake
        assert mistake is not None
        if time.monotonic() - began > _ALL_S:
            progress.say("diagnose: mistakes beside faults inside the model were tried in part")
            break
        behind = replace(
            inside,
            make=partial(tries.model.samples, images, mistake),
            tried=[],
            seconds=_EACH_S,
        )
        best = min(as_found(behind.all(), none), key=lambda f: left_by(f, none), default=None)
        left = left_by(best, none) if best else 1.0
        if best and left <= most:
            said = f"and to have this fault as well ({best.candidate.fault}) differs by"
            one = tries.found_as(
                mistake,
                f"{said} {1 - best.candidate.score:.2g}",
                best.candidate.score,
                left,
            )
            both.append(replace(one, besides="model"))
            # Behind statistics of a batch, what shifts or scales all values hardly shows.
            if left <= ENOUGH or len(both) == _BOTH:
                break
    return sorted(both, key=lambda f: f.left or 0.0)[:1]


def _likeliest(tries: Preprocessing, mistakes: list[Found], none: Candidate) -> Iterator[Found]:
    """In turn those with which the samples lie to each other as the port's do, since a fault inside
    moves all answers and leaves something of that, and those that leave least.
    """
    count = len(tries.port)
    rows = np.linspace(0, count - 1, min(_ROWS, count)).round().astype(int)

    def apart(mistake: Mistake) -> float:
        made = tries.made(mistake, rows)
        return 1 - alignment(tries.port[rows], made[0].answers) if made else 9e9

    by_left = sorted(mistakes, key=lambda f: left_by(f, none))
    until = time.monotonic() + _ROWS_S
    known = {id(f): apart(f.mistake) for f in by_left if f.mistake and time.monotonic() < until}
    fitted: list[Found] = []
    for family in families(tries.model.recipe) if tries.state.mistake is None else ():
        if time.monotonic() > until + _FITS_S:
            break
        if best := searched(family, apart):
            for found in tries.of(best[1], rows):
                known[id(found)] = best[0]
                fitted.append(found)
    aligned = _by_kind(sorted([*mistakes, *fitted], key=lambda f: known.get(id(f), 1.0)))
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(aligned, _by_kind(by_left)))
    yield from {id(f): f for f in in_turn if f}.values()


def _by_kind(found: list[Found]) -> list[Found]:
    """The first of each kind before the others, in their order."""
    kinds: dict[str, list[Found]] = {}
    for each in found:
        kinds.setdefault(each.candidate.fault, []).append(each)
    places = {id(f): place // _OF_A_KIND for same in kinds.values() for place, f in enumerate(same)}
    return sorted(found, key=lambda f: places[id(f)])
