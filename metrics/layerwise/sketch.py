"""A short vector for every tensor, from which the distance of two tensors is estimated without
keeping either.

Values times a fixed row of random signs, summed into a number of cells (count sketch; Charikar,
Chen and Farach-Colton, ICALP 2002): the squared distance of two sketches is on average that of the
tensors, within about a quarter for 64 cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from portproof.backend import Array

_CELLS = 64


@dataclass
class Sketch:
    """One tensor over all runs: its shape in the first of them, the sketch of each, and the norm of
    all values together.
    """

    shape: tuple[int, ...]
    kind: str
    cells: list[Array] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Values in one run."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def vector(self) -> Array:
        """All runs, one after another; not finite where the tensor is not."""
        return np.concatenate(self.cells)


@lru_cache(maxsize=64)
def _signs(size: int) -> Array:
    return np.random.default_rng(size).integers(0, 2, size, np.int8) * np.int8(2) - np.int8(1)


def sketched(values: Array) -> Array:
    """The cells of one array; the same for arrays of one size in another shape."""
    flat: Any = values.reshape(-1).astype(np.float64) * _signs(values.size)
    rows = -(-flat.size // _CELLS)
    padded = np.zeros(rows * _CELLS)
    padded[: flat.size] = flat
    cells: Array = padded.reshape(rows, _CELLS).sum(axis=0)
    return cells


def add(sketches: dict[str, Sketch], names: Sequence[str], values: Sequence[Array | None]) -> None:
    """Add one run's values to the sketches by name; what has no values, or none of numbers, is
    left out.
    """
    for name, array in zip(names, values, strict=True):
        if array is None or array.dtype.kind not in "fiub" or not array.size:
            continue
        entry = sketches.setdefault(name, Sketch(array.shape, array.dtype.kind))
        with np.errstate(invalid="ignore", over="ignore"):
            entry.cells.append(sketched(array))


def distances(one: Sequence[Sketch], other: Sequence[Sketch]) -> Array:
    """Estimated relative errors: root of squared distance over the squares of ``one``, a row each;
    infinite where either is not finite.
    """
    a = np.stack([s.vector for s in one])
    b = np.stack([s.vector for s in other])
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        gap = np.stack([np.linalg.norm(b - row, axis=1) for row in a])
        norm = np.linalg.norm(a, axis=1)[:, None]
        relative: Array = np.where(gap == 0, 0.0, gap / norm)
    return np.where(np.isfinite(relative), relative, np.inf)
