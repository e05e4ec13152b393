"""COCO's figures, by the name that ``summarize`` of pycocotools prints, and what an image adds to
them: shared by boxes, masks and keypoints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching.averages import Average, average, stakes
from portproof.metrics.matching.greedy import Candidates, contribution_of
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution, Figure
from portproof.metrics.truth.coco_json import Objects

Floats = NDArray[np.float64]
_AT_75 = 5  # of THRESHOLDS


@dataclass(frozen=True)
class Family:
    """The figures of one kind of overlap."""

    averages: dict[str, Average]
    areas: tuple[str, ...]
    most: int

    @property
    def declared(self) -> tuple[Figure, ...]:
        """The figures, AP over all thresholds first."""
        return tuple(Figure(name, chance=0.0) for name in self.averages)

    def figure(self, name: str, found: Contributions, counts: NDArray[np.int64]) -> float | None:
        """One figure."""
        return average(self.averages[name], self.areas, found, counts)

    def figures(self, found: Contributions, counts: NDArray[np.int64]) -> dict[str, float | None]:
        """All of them."""
        return {name: self.figure(name, found, counts) for name in self.averages}

    def stakes(self, name: str, found: Contributions) -> Floats:
        """What each image's objects carry of a figure."""
        return stakes(self.areas.index(self.averages[name].area), found)

    def contribution(
        self,
        prediction: Detections,
        truth: Objects,
        areas: Floats,
        overlaps: Floats,
        ignored: NDArray[np.bool_],
    ) -> Contribution:
        """What an image adds, given the areas of its detections (D,), their overlaps with its
        objects (D, G), and which objects count neither way, whatever their area (G,).
        """
        classes = []
        for label in np.union1d(prediction.labels, truth.labels).tolist():
            mine, theirs = prediction.labels == label, truth.labels == label
            classes.append(
                Candidates(
                    label,
                    prediction.scores[mine],
                    areas[mine],
                    overlaps[np.ix_(mine, theirs)],
                    truth.areas[theirs],
                    truth.crowd[theirs],
                    ignored[theirs],
                )
            )
        return contribution_of(classes, self.areas, self.most)


#: Boxes and masks.
REGIONS = Family(
    {
        "AP": Average("precision", 100),
        "AP50": Average("precision", 100, threshold=0),
        "AP75": Average("precision", 100, threshold=_AT_75),
        "AP_small": Average("precision", 100, "small"),
        "AP_medium": Average("precision", 100, "medium"),
        "AP_large": Average("precision", 100, "large"),
        "AR_1": Average("recall", 1),
        "AR_10": Average("recall", 10),
        "AR_100": Average("recall", 100),
        "AR_small": Average("recall", 100, "small"),
        "AR_medium": Average("recall", 100, "medium"),
        "AR_large": Average("recall", 100, "large"),
    },
    ("all", "small", "medium", "large"),
    100,
)
#: Keypoints: small ones have none that are labelled.
POINTS = Family(
    {
        "AP": Average("precision", 20),
        "AP50": Average("precision", 20, threshold=0),
        "AP75": Average("precision", 20, threshold=_AT_75),
        "AP_medium": Average("precision", 20, "medium"),
        "AP_large": Average("precision", 20, "large"),
        "AR": Average("recall", 20),
        "AR50": Average("recall", 20, threshold=0),
        "AR75": Average("recall", 20, threshold=_AT_75),
        "AR_medium": Average("recall", 20, "medium"),
        "AR_large": Average("recall", 20, "large"),
    },
    ("all", "medium", "large"),
    20,
)
