"""Mistakes of preprocessing with numbers in them that may be any: sizes, places, constants."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.preprocess.mistakes.colours import gamma_mistake, overflow
from portproof.preprocess.mistakes.mistake import Change, Mistake
from portproof.preprocess.mistakes.pictures import (
    before_the_crop,
    off_centre,
    padded_rows,
    recompression,
    rolled,
)
from portproof.preprocess.mistakes.usual import clipped, constants
from portproof.recipe import Recipe

Numbers = tuple[float, ...]
#: Steps of one search, and of a least-squares fit.
_STEPS_DOWN, _STEPS = 30, 8
#: Factors and shifts of normalised values.
_FACTORS = (0.35, 0.5, 0.7, 1.0, 1.5, 2.5)
_SHIFTS = (-1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0)
#: Values clipped to less are all alike: anything is a function of what is left of them.
_NARROWEST = 0.3
#: What a change of a constant is, for a slope.
_SLOPE = 0.01


@dataclass(frozen=True)
class Family:
    """Mistakes made of numbers. ``starts``: where a search begins, from the ``best`` of them;
    ``step``: its first and its last step, the same for every number.
    """

    make: Callable[..., Mistake | None]
    starts: Sequence[Numbers]
    step: tuple[float, float]
    best: int = 1


def families(recipe: Recipe, changes: tuple[Change, ...] = ()) -> Iterator[Family]:
    """The families of a recipe, the cheapest first; ``changes``: of another mistake besides."""
    for family in _families(recipe):
        yield replace(family, make=partial(_made_besides, make=family.make, changes=changes))


def _made_besides(
    *numbers: float, make: Callable[..., Mistake | None], changes: tuple[Change, ...]
) -> Mistake | None:
    mistake = make(*numbers)
    return replace(mistake, changes=changes + mistake.changes) if mistake else None


def _families(recipe: Recipe) -> Iterator[Family]:
    height, width = recipe.size
    resize = recipe.resize
    if recipe.dtype != "uint8":
        ends = [(-b, b) for b in (0.5, 1.5)] + [(0.0, 0.5), (-0.5, 2.0)]
        yield Family(
            lambda a, b: clipped(recipe, a, b) if b - a >= _NARROWEST else None, ends, (0.5, 0.01)
        )
    powers = [(0.6,), (1.6,)]
    yield Family(lambda g: gamma_mistake(recipe, g) if g > 0 else None, powers, (0.3, 0.01))
    # Where bytes wrap, near numbers are no better than far ones.
    shifts = [(float(s),) for s in range(4, 256, 4)]
    yield Family(
        lambda s: overflow(recipe, shift=int(s)) if 1 <= s <= 255 else None, shifts, (2, 1), 3
    )
    factors = [(f / 20,) for f in (*range(22, 42, 2), *range(50, 90, 10), 100, 120, 160)]
    yield Family(lambda f: overflow(recipe, f) if 1 < f <= 16 else None, factors, (0.05, 0.01), 3)
    qualities = [(float(q),) for q in range(5, 100, 5)]
    yield Family(
        lambda q: recompression(recipe, int(q)) if 1 <= q <= 99 else None, qualities, (2, 1)
    )
    if resize is not None:
        short, most = min(height, width), 4 * max(height, width)
        sizes = [(float(int(short * f)),) for f in (1.05, 1.2, 1.5, 2.0)]
        for squashed in (False, True):
            yield Family(
                lambda s, q=squashed: (
                    before_the_crop(recipe, int(s), q) if short <= s <= most else None
                ),
                sizes,
                (max(1, short // 16), 1),
            )
        away = [(float(y * short // 16), float(x * short // 16))
                for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]  # fmt: skip
        jump = (max(1, short // 32), 1)
        yield Family(lambda y, x: off_centre(recipe, int(y), int(x)), away, jump)
    quarter = [(float(y * height // 6), float(x * width // 6))
               for y, x in ((1, 0), (-1, 0), (0, 1), (0, -1), (2, 0), (0, 2))]  # fmt: skip
    yield Family(lambda y, x: rolled(recipe, int(y), int(x)), quarter, (max(1, height // 16), 1))
    # A row one pixel longer is another picture.
    longer = [(float(n),) for n in range(width + 4, 2 * width + 1, 4)]
    yield Family(lambda n: padded_rows(recipe, int(n)) if n > width else None, longer, (1, 1))


def searched(family: Family, left_by: Callable[[Mistake], float]) -> tuple[float, Mistake] | None:
    """The mistake of a family that leaves least: from the best starts along one number after the
    other, with steps that become shorter.
    """
    known: dict[Numbers, float] = {}

    def left(numbers: Numbers) -> float:
        if numbers not in known:
            mistake = family.make(*numbers)
            known[numbers] = left_by(mistake) if mistake else 9e9
        return known[numbers]

    ends = [
        _descended(family, start, left) for start in sorted(family.starts, key=left)[: family.best]
    ]
    at = min(ends, key=left)
    mistake = family.make(*at)
    return (left(at), mistake) if mistake and left(at) < 9e9 else None


def _descended(family: Family, at: Numbers, left: Callable[[Numbers], float]) -> Numbers:
    """The numbers at which no step leaves less, or the last ones that there was patience for."""
    step, last = family.step
    for _ in range(_STEPS_DOWN):
        near = [
            tuple(round(v + d * step, 4) if i == axis else v for i, v in enumerate(at))
            for axis in range(len(at))
            for d in (-1, 1)
        ]
        best = min(near, key=left)
        if left(best) < left(at):
            at = best
        elif step <= last:
            break
        else:
            step = max(step / 2, last) if last < 1 else max(step // 2, last)
    return at


def coarse_starts(recipe: Recipe) -> Iterator[Mistake]:
    """Values times a factor plus a shift, the same for all channels: where a fit may begin."""
    for factor in _FACTORS:
        for shift in _SHIFTS:
            std = tuple(s / factor for s in recipe.std)
            mean = tuple(m - shift * s for m, s in zip(recipe.mean, std, strict=True))
            yield constants(recipe, mean, std)


def fitted_constants(
    recipe: Recipe,
    start: tuple[Numbers, Numbers],
    outputs: Callable[[Mistake], Rows],
    port: Rows,
    changes: tuple[Change, ...] = (),
) -> Mistake:
    """Mean and std of each channel for which the reference comes nearest to the port, by damped
    least squares (Levenberg 1944). ``start``: mean and std to begin with; ``changes``: of another
    mistake besides.
    """

    def made(numbers: Rows) -> Mistake:
        mean, std = numbers[:3], np.exp(numbers[3:])
        other = constants(recipe, tuple(map(float, mean)), tuple(map(float, std)))
        return replace(other, changes=changes)

    def rest(numbers: Rows) -> Rows:
        with np.errstate(all="ignore"):
            return np.nan_to_num((outputs(made(numbers)) - port).ravel(), nan=1e9)

    at = np.array([*start[0], *np.log(start[1])])
    here, damping = rest(at), 1e-2
    for _ in range(_STEPS):
        slope = np.stack([(rest(at + d) - here) / _SLOPE for d in _SLOPE * np.eye(6)], axis=1)
        normal, down = slope.T @ slope, slope.T @ here
        scale = max(float(np.trace(normal)) / 6, 1e-12)
        for _ in range(4):
            step = np.linalg.solve(normal + damping * scale * np.eye(6), -down)
            there = rest(at + np.clip(step, -1, 1))
            if there @ there < here @ here:
                break
            damping *= 10
        else:
            break
        gained = 1 - float(there @ there) / max(float(here @ here), 1e-300)
        at, here, damping = at + np.clip(step, -1, 1), there, max(damping / 10, 1e-9)
        if gained < 1e-3:
            break
    return made(at)
