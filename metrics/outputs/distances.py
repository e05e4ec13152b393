"""How far one array is from another."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Distance(msgspec.Struct, frozen=True):
    """A port's array against its reference's.

    ``error``: root of the summed squares of the difference (L2), infinite where only one side is
    finite or the sizes differ; of whole numbers the share that differs. ``relative``: the error
    over the reference's L2 norm. ``cosine``: of the two as vectors. ``snr_db``: 20 log10 of 1 /
    ``relative``. ``largest``: of the absolute differences. ``argmax``: the share of positions with
    one largest class, None where there is no axis of classes.
    """

    error: float
    relative: float
    cosine: float
    snr_db: float
    largest: float
    argmax: float | None


def distance(reference: Array, port: Array) -> Distance:
    """Compare two arrays of one sample; places where both have the same infinity, or both NaN, are
    equal.
    """
    if reference.size != port.size:
        return Distance(math.inf, math.inf, 0.0, -math.inf, math.inf, None)
    if reference.dtype.kind not in "fc" and port.dtype.kind not in "fc":
        different = float(np.mean(reference.reshape(-1) != port.reshape(-1))) if port.size else 0.0
        return Distance(different, different, 1 - different, _decibels(different), different, None)
    x, y = reference.astype(np.float64).reshape(-1), port.astype(np.float64).reshape(-1)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    with np.errstate(invalid="ignore"):
        gap = np.where(same, 0.0, np.abs(x - y))
    gap[np.isnan(gap)] = np.inf
    finite = np.isfinite(x) & np.isfinite(y)
    norm, other = float(np.linalg.norm(x[finite])), float(np.linalg.norm(y[finite]))
    error = float(np.linalg.norm(gap)) if np.isfinite(gap).all() else math.inf
    relative = error / norm if norm else (math.inf if error else 0.0)
    cosine = float(x[finite] @ y[finite]) / (norm * other) if norm and other else float(not error)
    largest = float(gap.max(initial=0.0))
    agreement = _argmax_agreement(reference, port.reshape(reference.shape))
    return Distance(error, relative, cosine, _decibels(relative), largest, agreement)


def _decibels(relative: float) -> float:
    if relative == 0:
        return math.inf
    return -20 * math.log10(relative) if math.isfinite(relative) else -math.inf


def _argmax_agreement(reference: Array, port: Array) -> float | None:
    """Over the axis of classes: of a vector its own, of (classes, height, width) the first."""
    shape = [size for size in reference.shape if size != 1]
    if len(shape) not in (1, 3) or shape[0] < 2:
        return None
    a, b = reference.reshape(shape), port.reshape(shape)
    return float(np.mean(a.argmax(axis=0) == b.argmax(axis=0)))
