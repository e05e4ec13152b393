"""Text detection: the harmonic mean of precision and recall of text regions (ICDAR 2015)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching.areas import area, shared_area
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.text_regions import Regions, read_regions

PREDICTION = "polygons"
#: What post-processing may give too: its boxes are regions.
ALSO = ("instances",)
FIGURES = (
    Figure("hmean", chance=0.0),
    Figure("precision", chance=0.0),
    Figure("recall", chance=0.0),
)
#: A region is found when intersection over union is over this; one that lies by more than this in
#: a region that cannot be read is not judged.
_OVERLAP = 0.5


def read_truth(path: Path) -> Truth:
    """Regions of text; see :mod:`portproof.metrics.truth.text_regions`."""
    return read_regions(path)


def contribution(prediction: Regions | Detections, truth: Regions) -> Contribution:
    """How many regions are found, were predicted, and are there, without those that cannot be read
    (ICDAR 2015, task 4.1, ``script.py``: the truth in its order, and for each the first prediction
    in its order that overlaps it enough and is still free).
    """
    said = _polygons(prediction)
    inside = _overlaps(said, truth)
    share = inside / np.maximum(np.array([area(p) for p in said]), 1e-12)[:, None]
    unread = np.array(truth.ignored, bool)
    free = ~(share[:, unread] > _OVERLAP).any(axis=1)
    own = np.array([area(p) for p in truth.polygons])
    union = np.array([area(p) for p in said])[:, None] + own[None, :] - inside
    overlap = inside / np.maximum(union, 1e-12)
    found, judged = 0, int(free.sum())
    for column in np.flatnonzero(~unread):
        rows = np.flatnonzero(free & (overlap[:, column] > _OVERLAP))
        if rows.size:
            found += 1
            free[rows[0]] = False
    counts = {"found": found, "said": judged, "true": int((~unread).sum())}
    return {name: np.int64(count) for name, count in counts.items()}


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Over all regions of all images; 0 where nothing is found."""
    weights = np.asarray(counts, np.float64)
    found, said, true = (
        float(weights @ contributions.table(name)) for name in ("found", "said", "true")
    )
    return {
        "hmean": 2 * found / (said + true) if said + true else None,
        "precision": found / said if said else (0.0 if true else None),
        "recall": found / true if true else None,
    }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """The regions of an image over all there are."""
    return shares(contributions.table("true"))


def _polygons(prediction: Regions | Detections) -> list[NDArray[np.float64]]:
    if isinstance(prediction, Regions):
        return list(prediction.polygons)
    left, top, width, height = prediction.boxes.T
    corners = [left, top, left + width, top, left + width, top + height, left, top + height]
    return list(np.stack(corners, axis=1).reshape(-1, 4, 2))


def _overlaps(said: list[NDArray[np.float64]], truth: Regions) -> NDArray[np.float64]:
    table = np.zeros((len(said), len(truth.polygons)))
    for row, one in enumerate(said):
        for column, other in enumerate(truth.polygons):
            table[row, column] = shared_area(one, other)
    return table
