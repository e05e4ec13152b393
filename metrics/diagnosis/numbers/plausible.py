"""Whether bytes, read in some way, are a model's outputs: told by their sizes alone, so that it can
be said beside another fault as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.likeness import Rows

#: The usual size lies within these multiples of that of the reference's outputs.
_SMALL, _LARGE = 1e-7, 1e5
#: No output is so many times as large as the usual one, and none that is not 0 is so small: other
#: types read as floats have any exponent, small integers have the smallest.
_FAR, _TINY = 1e3, 1e-30
#: Such numbers make up this share of a class's in every right reading, and such classes this share.
_MOST, _ENOUGH = 0.9, 0.9


def classes_alike(rows: Rows, right: Rows) -> NDArray[np.bool_]:
    """For each class whether its numbers are outputs, as far as sizes tell: neither too large nor
    too small. Both: (samples, classes).
    """
    sizes = np.abs(rows)
    there = np.isfinite(rows) & (rows != 0)
    wanted = np.abs(right)[right != 0]
    if not there.any() or not wanted.size:
        return np.zeros(rows.shape[1], bool)
    usual, asked = float(np.median(sizes[there])), float(np.median(wanted))
    if not _SMALL * asked <= usual <= _LARGE * asked:
        return np.zeros(rows.shape[1], bool)
    good = (rows == 0) | (there & (sizes <= _FAR * usual) & (sizes > _TINY))
    return np.asarray(good.mean(axis=0) >= _MOST)


def _varied(rows: Rows) -> NDArray[np.bool_]:
    """The classes whose numbers are not the same for all samples, where any is."""
    varied = (rows != rows[:1]).any(axis=0)
    return np.asarray(varied | ~varied.any())


def are_outputs(rows: Rows, right: Rows) -> bool:
    """Whether nearly all classes are."""
    return bool(classes_alike(rows, right).mean() >= _ENOUGH)


def spread(rows: Rows) -> float:
    """How far the sizes of numbers lie apart, in octaves: read as another type, exponents are made
    of others' last bits.
    """
    sizes = np.abs(rows[np.isfinite(rows) & (rows != 0)])
    return float(np.log2(sizes).std()) if sizes.size else np.inf


def never_outputs(head: Rows, rows: Rows) -> bool:
    """Whether numbers in front of ``rows`` cannot be outputs like them, and are no zeros alone."""
    sizes = np.abs(rows[np.isfinite(rows) & (rows != 0)])
    usual = float(np.median(sizes)) if sizes.size else 1.0
    with np.errstate(invalid="ignore"):
        odd = ~np.isfinite(head) | (np.abs(head) < _TINY) | (np.abs(head) > _FAR * usual)
    return bool(odd.all() and head.any())


Reading = tuple[str, int]


def likeliest(readings: Iterable[tuple[Reading, Rows]], right: Rows, usual: str) -> Reading | None:
    """The type and the number of bytes before the numbers for which most classes are outputs, those
    of the ``usual`` type first; None if there is none, or if two places are as good.
    """
    scored = [
        (
            float((classes_alike(rows, right) & _varied(rows)).mean()),
            reading[0] == usual,
            reading,
        )
        for reading, rows in readings
    ]
    best = max(scored, key=lambda s: s[:2], default=None)
    if best is None or best[0] < _ENOUGH:
        return None
    near = [r for score, _, r in scored if score == best[0] and r[0] == best[2][0]]
    return best[2] if len(near) == 1 else None
