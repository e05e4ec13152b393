"""Two mistakes of preprocessing at once, neither of which fits alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.metrics.diagnosis.candidates import NEXT_TO_NOTHING, Found
from portproof.metrics.diagnosis.likeness import chosen, distances
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.mistakes.pictures import before_the_crop
from portproof.preprocess.mistakes.usual import usual_mistakes

#: Pairs are made of so many kinds, tried on so few images for so long at most, and the likeliest
#: ones on more.
_KINDS, _FEW, _SECONDS, _LIKELY, _MORE = 6, 3, 30.0, 3, 24
#: A size that was fitted beside another mistake is off by so many pixels at most.
_SIZES = 6


def pairs_of_mistakes(tries: Preprocessing, found: list[Found]) -> list[Found]:
    """The first of two mistakes that leave next to nothing together: the likeliest kinds of those
    ``found`` are tried with every other on top.
    """
    distance = distances(tries.port, tries.plain)
    rows = chosen(distance, _FEW)
    firsts: dict[str, Mistake] = {}
    for single in sorted((f for f in found if f.mistake), key=lambda f: f.left or 0.0):
        if single.mistake and len(firsts) < _KINDS:
            firsts.setdefault(single.candidate.fault, single.mistake)
    both = [
        (first, replace(m, changes=first.changes + m.changes))
        for first in firsts.values()
        for m in usual_mistakes(first.recipe)
        if m.fault is not None and m.fault != first.fault
    ]
    tried: list[tuple[Mistake, Found]] = []
    began = time.monotonic()
    with progress.meter("diagnose: pairs of mistakes", len(both), "pairs") as meter:
        for first, mistake in both:
            if time.monotonic() - began > _SECONDS:
                progress.say("diagnose: pairs of mistakes were tried in part: it took too long")
                break
            tried += [(first, f) for f in tries.of(mistake, rows)]
            meter.advance()
    if not tried:
        return []
    tried.sort(key=lambda t: t[1].left or 0.0)
    if tried[0][0].fault == "resize-crop" and (tried[0][1].left or 0.0) > NEXT_TO_NOTHING:
        tried += [near for pair in tried[:_LIKELY] for near in _other_sizes(tries, *pair, rows)]
        tried.sort(key=lambda t: t[1].left or 0.0)
    more = chosen(distance, _MORE)
    sure = [
        (first, f) for first, two in tried[:_LIKELY] if two.mistake
        for f in tries.of(two.mistake, more)
    ]  # fmt: skip
    first, best = min(sure, key=lambda t: t[1].left or 0.0)
    return [tries.first_of_two(first, best)] if (best.left or 0.0) <= NEXT_TO_NOTHING else []


def _other_sizes(
    tries: Preprocessing, first: Mistake, both: Found, rows: NDArray[np.int64]
) -> Iterator[tuple[Mistake, Found]]:
    """Sizes near the one that fits alone: it took some of the other mistake with it."""
    size = first.recipe.resize
    if first.fault != "resize-crop" or both.mistake is None or size is None:
        return
    for side in range(size.size[0] - _SIZES, size.size[0] + _SIZES + 1):
        if side >= min(first.recipe.size):
            one, two = (
                replace(m, recipe=before_the_crop(m.recipe, side, size.rule == "exact").recipe)
                for m in (first, both.mistake)
            )
            one = replace(one, found=str(side))
            yield from ((one, f) for f in tries.of(two, rows))
