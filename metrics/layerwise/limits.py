"""How far a tensor is from its counterpart, what a layer may lose, and which layers lose more."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from portproof.metrics.layerwise.report import Layer
from portproof.metrics.outputs.judge import ALLOWED

#: Where a layer is named, its error over what is allowed is so many times that of its inputs: else
#: the error has crept over the limit, and no layer is at fault. With a fixed tolerance errors
#: themselves are compared.
_GROWTH, _GROWTH_OF_FIXED = 2.0, 10.0


@dataclass(frozen=True)
class Limits:
    """What a layer may lose: a fixed relative error, or ``ALLOWED`` times what rounding to
    ``precision`` explains.
    """

    tolerance: float | None
    precision: str


@dataclass
class Judged:
    """Layers with the limit that applies to each."""

    layers: Mapping[str, Layer]
    limits: Limits
    finals: list[str]

    def limit(self, name: str) -> float:
        """The relative error that a layer may have."""
        if self.limits.tolerance is not None:
            return self.limits.tolerance
        return ALLOWED * self.layers[name].explained

    def differs(self, name: str) -> bool:
        """Whether a layer has more; False for one that was not compared."""
        if name not in self.layers:
            return False
        error = self.layers[name].relative_error
        return error is None or error > self.limit(name)

    def grew(self, name: str) -> bool:
        """Whether the error is new here, and has not crept over the limit."""
        layer = self.layers[name]
        if layer.input_error is None:
            return False
        if layer.relative_error is None:
            return True
        factor = _GROWTH_OF_FIXED if self.limits.tolerance is not None else _GROWTH
        return layer.relative_error > factor * layer.input_error

    def agree(self) -> bool:
        """Whether no output differs."""
        return not any(self.differs(name) for name in self.finals)

    def within(self, error: float | None) -> bool:
        """Whether every output may have this error."""
        return error is not None and all(error <= self.limit(name) for name in self.finals)

    def output_error(self) -> float | None:
        """The largest of the outputs'; None where one is not finite."""
        errors = [self.layers[name].relative_error for name in self.finals]
        return None if None in errors else max(e for e in errors if e is not None)


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
