"""How alike the answers of two sides are: raw outputs, or what predictions add to a figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.tasks.partners import same_share
from portproof.metrics.diagnosis.tasks.sides import Outputs
from portproof.metrics.predictions.instances import Detections


class Scale:
    """Outputs of samples as rows in which every output counts alike."""

    def __init__(self, right: Mapping[str, Outputs], ids: list[str]) -> None:
        self.names = list(right[ids[0]])
        stacked = {
            n: np.stack([right[i][n].ravel() for i in ids]).astype(float) for n in self.names
        }
        self.mean = {n: a.mean(axis=0) if len(ids) > 1 else 0 * a[0] for n, a in stacked.items()}
        self.size = {n: float(np.sqrt(np.mean((a - self.mean[n]) ** 2))) or 1.0
                     for n, a in stacked.items()}  # fmt: skip

    def rows(self, outputs: Mapping[str, Outputs], ids: list[str]) -> Rows:
        """(samples, numbers)."""
        parts = []
        for name in self.names:
            array = np.stack([outputs[i][name].ravel() for i in ids]).astype(np.float64)
            parts.append((array - self.mean[name]) / self.size[name])
        rows: Rows = np.concatenate(parts, axis=1)
        return np.asarray(np.nan_to_num(rows, nan=1e9, posinf=1e9, neginf=-1e9))


def likeness(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    """How alike two sides' answers are, 0 to 1, sample by sample."""
    return float(np.mean([_alike(a[i], b[i]) for i in b if i in a] or [0.0]))


def most_different(a: Mapping[str, Any], b: Mapping[str, Any], count: int) -> list[str]:
    """Samples to try explanations on: those of ``b`` whose answers differ most, which may be few,
    and as many of the first of the others.
    """
    by_difference = sorted(b, key=lambda i: _alike(a[i], b[i]) if i in a else 0.0)
    worst = by_difference[: max(1, count // 2)]
    return [*worst, *[i for i in b if i not in worst][: count - len(worst)]]


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> float:
    shares = []
    for name in b:
        if isinstance(b[name], Detections):
            shares.append(same_share(a[name], b[name]))
            continue
        one, two = (np.asarray(x[name]) for x in (a, b))
        if one.dtype.kind not in "fiub" or one.shape != two.shape:
            shares.append(float(one.shape == two.shape and np.array_equal(one, two)))
            continue
        apart = np.abs(one.astype(np.float64) - two)
        size = np.maximum(np.maximum(np.abs(one), np.abs(two)).astype(np.float64), 1e-6)
        same = 1 - np.minimum(np.nan_to_num(apart / size), 1)
        shares.append(float(same.mean()) if one.size else 1.0)
    return float(np.mean(shares))
