"""Classes of texts: accuracy, and F1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure
from portproof.metrics.truth import Truth
from portproof.metrics.truth.class_lines import read_classes

PREDICTION = "classes"
FIGURES = (Figure("accuracy"), Figure("F1_macro", chance=0.0), Figure("F1_micro"))


def read_truth(path: Path) -> Truth:
    """A class a sample; see :mod:`portproof.metrics.truth.class_lines`."""
    return read_classes(path)


def contribution(prediction: int, truth: int) -> Contribution:
    """Both classes."""
    return {"said": np.int64(prediction), "true": np.int64(truth)}


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """``F1_macro``: the mean over the classes that occur in truth or predictions. ``F1_micro``: of
    all samples together, which for one class a sample is the accuracy.
    """
    both, said, true = _totals(contributions, np.asarray(counts, np.float64))
    total, occurs = true.sum(), said + true > 0
    if not total:
        return dict.fromkeys((f.name for f in FIGURES), None)
    accuracy = float(both.sum() / total)
    macro = float((2 * both[occurs] / (said + true)[occurs]).mean())
    return {"accuracy": accuracy, "F1_macro": macro, "F1_micro": accuracy}


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """Every sample alike; of ``F1_macro`` a sample carries its share of its own class."""
    size = len(contributions)
    if name != "F1_macro":
        return np.full(size, 1.0 / max(size, 1))
    true = contributions.table("true")
    classes, place, members = np.unique(true, return_inverse=True, return_counts=True)
    return 1.0 / (members[place] * len(classes))


def chance(name: str, contributions: Contributions) -> float | None:
    """The share of the commonest class."""
    if name == "F1_macro":
        return 0.0
    members = np.unique(contributions.table("true"), return_counts=True)[1]
    return float(members.max() / members.sum()) if members.size else None


def _totals(
    found: Contributions, weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """For each class: right samples, samples predicted, samples in truth."""
    said, true = found.table("said"), found.table("true")

    def make() -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        classes, place = np.unique(np.concatenate([said, true]), return_inverse=True)
        return place[: len(said)], place[len(said) :], len(classes)

    first, second, size = found.once("places", make)
    right = weights * (said == true)
    return (
        _summed(second, right, size),
        _summed(first, weights, size),
        _summed(second, weights, size),
    )


def _summed(
    place: NDArray[np.int64], weights: NDArray[np.float64], size: int
) -> NDArray[np.float64]:
    return np.bincount(place, weights, size).astype(np.float64)
