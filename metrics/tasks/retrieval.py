"""Retrieval and re-identification: where in a gallery the pictures of the same one stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.identities import Who, read_identities

PREDICTION = "embedding"
#: The samples are the queries. The gallery is as it is: an interval says what other queries of the
#: same gallery would do.
FIGURES = (
    Figure("mAP", chance=0.0),
    Figure("rank1", chance=0.0),
    Figure("rank5", chance=0.0),
)

Vector = NDArray[np.floating[Any]]


def read_truth(path: Path) -> Truth:
    """Queries and gallery; see :func:`portproof.metrics.truth.identities.read_identities`."""
    return read_identities(path)


def join(predictions: Mapping[str, Vector], truth: Truth) -> Mapping[str, Any]:
    """For each query the gallery in the order of its distance (Euclid's): an array of 1 for the
    same identity and 0 for another.

    The query itself, and pictures of the same identity by the same camera, are left out (Zheng et
    al. 2015, Market-1501). Of equal distances those of others stand first: a model that cannot tell
    pictures apart has no luck.
    """
    gallery: Mapping[str, Who] = truth.facts["gallery"]
    lacking = [name for name in gallery if name not in predictions]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(gallery)} samples of the gallery have no result"
            f" ({listed(lacking)}); finish the inference: with another gallery the figures are"
            " others"
        )
    names = list(gallery)
    table = _stacked([predictions[name] for name in names])
    identities = np.array([gallery[name].identity for name in names])
    cameras = np.array([gallery[name].camera for name in names])
    at = {name: place for place, name in enumerate(names)}
    ranked: dict[str, Any] = {}
    for name in predictions:
        if name in truth.samples:
            who = truth.samples[name]
            same = identities == who.identity
            hidden = same & (cameras == who.camera) if who.camera else np.zeros(len(names), bool)
            if name in at:
                hidden[at[name]] = True
            ranked[name] = _ranked(name, predictions[name], table, same, hidden)
        elif name not in gallery:
            ranked[name] = None  # refused by whoever asked, by its name
    return ranked


def contribution(prediction: NDArray[np.int64], truth: Who) -> Contribution:
    """The average precision of a query, and whether one of the first 1 or 5 is right; ``judged`` is
    0 for a query that nobody in the gallery answers.
    """
    places = np.flatnonzero(prediction) + 1
    judged = places.size > 0
    precision = np.arange(1, places.size + 1) / places
    return {
        "precision": np.float64(precision.mean() if judged else 0.0),
        "rank1": np.float64(judged and places[0] <= 1),
        "rank5": np.float64(judged and places[0] <= 5),
        "judged": np.float64(judged),
    }


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Means over the queries that somebody in the gallery answers."""
    weights = np.asarray(counts, np.float64) * contributions.table("judged")
    total = weights.sum()
    columns = {"mAP": "precision", "rank1": "rank1", "rank5": "rank5"}
    return {
        name: float(weights @ contributions.table(column) / total) if total else None
        for name, column in columns.items()
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """Every query alike that somebody answers."""
    return shares(contributions.table("judged"))


def _stacked(vectors: list[Vector]) -> NDArray[np.float64]:
    sizes = sorted({len(vector) for vector in vectors})
    if len(sizes) != 1:
        raise InputError(
            f"embeddings of {' and '.join(map(str, sizes[:3]))} numbers cannot be compared; they"
            " have to be one model's"
        )
    return np.stack(vectors).astype(np.float64)


def _ranked(
    name: str,
    vector: Vector,
    table: NDArray[np.float64],
    same: NDArray[np.bool_],
    hidden: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The gallery without what is hidden, by distance."""
    if len(vector) != table.shape[1]:
        raise InputError(
            f"the embedding of '{name}' has {len(vector)} numbers, and the gallery's"
            f" {table.shape[1]}; they have to be one model's"
        )
    distance = ((table - vector.astype(np.float64)) ** 2).sum(axis=1)
    distance = np.where(np.isnan(distance), np.inf, distance)
    order = np.lexsort((same, distance))
    found: NDArray[np.int64] = same[order][~hidden[order]].astype(np.int64)
    return found
