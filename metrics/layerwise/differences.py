"""How far a tensor of one model is from its counterpart, summed over runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass
class Difference:
    """Squares summed over runs, and the largest difference. ``comparable`` is False once shapes or
    kinds differ.
    """

    difference: float = 0.0
    values: float = 0.0
    largest: float = 0.0
    comparable: bool = True
    seen: bool = False

    def add(self, a: object, b: object) -> None:
        """One run's values of both models; equal numbers of values in other shapes are compared in
        order (a flattened output is the one before it).
        """
        if (
            not isinstance(a, np.ndarray)
            or not isinstance(b, np.ndarray)
            or a.size != b.size
            or a.dtype.kind not in "fiub"
        ):
            self.comparable = False
            return
        if not a.size:
            return
        self.seen = True
        x, y = a.reshape(-1).astype(np.float64), b.reshape(-1).astype(np.float64)
        with np.errstate(invalid="ignore"):
            distance = np.where(x == y, 0.0, np.abs(x - y))  # equal infinities do not differ
        if np.isnan(x).any():
            # What A has no value for proves nothing of B.
            distance = np.where(np.isnan(x), 0.0, distance)
        finite = x[np.isfinite(x)]
        with np.errstate(over="ignore"):
            self.difference += float(np.sum(distance * distance))
            self.values += float(np.sum(finite * finite))
        self.largest = (
            max(self.largest, float(distance.max())) if not np.isnan(distance).any() else math.nan
        )

    def errors(self) -> tuple[float | None, float | None]:
        """Relative error and largest difference; None where B is not finite."""
        if not math.isfinite(self.difference) or not math.isfinite(self.largest):
            return None, None
        if self.difference == 0:
            return 0.0, 0.0
        return (
            math.sqrt(self.difference / max(self.values, np.finfo(np.float64).tiny)),
            self.largest,
        )
