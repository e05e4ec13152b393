"""Instance segmentation: average precision and recall of masks, as COCO defines them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.matching.coco import REGIONS
from portproof.metrics.matching.masks import encoded, mask_areas, mask_functions, mask_overlap
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution
from portproof.metrics.truth import Truth
from portproof.metrics.truth.coco_json import Objects, read_coco

PREDICTION = "instances"
PACKAGES = ("pycocotools",)
FIGURES = REGIONS.declared
figures, figure, stakes = REGIONS.figures, REGIONS.figure, REGIONS.stakes


def read_truth(path: Path) -> Truth:
    """COCO annotations (``instances_val2017.json``), each with a ``segmentation``."""
    mask_functions()
    truth = read_coco(path)
    for name, objects in truth.samples.items():
        for mask in objects.masks:
            encoded(mask, objects.size, f"COCO annotations '{path}', image '{name}'")
    return truth


def contribution(prediction: Detections, truth: Objects) -> Contribution:
    """The matched masks of one image.

    The area of a detection, which decides whether it is small, medium or large, is that of its
    mask, as evaluations with detectron2 and mmdetection have it (pycocotools takes the area of the
    box where a result has both).
    """
    if prediction.masks is None or len(prediction.masks) != len(prediction):
        raise InputError(
            "detections without masks were given, and instance segmentation is judged by masks;"
            " boxes alone are judged by the task detection"
        )
    size, found = truth.size, []
    for mask in prediction.masks:
        one, size = encoded(mask, size, "a detected mask")
        found.append(one)
    objects = [encoded(mask, size, "a mask of the truth")[0] for mask in truth.masks]
    overlaps = np.zeros((len(found), len(objects)))
    for label in np.intersect1d(prediction.labels, truth.labels).tolist():
        mine = np.flatnonzero(prediction.labels == label)
        theirs = np.flatnonzero(truth.labels == label)
        overlaps[np.ix_(mine, theirs)] = mask_overlap(
            [found[i] for i in mine], [objects[i] for i in theirs], truth.crowd[theirs]
        )
    return REGIONS.contribution(prediction, truth, mask_areas(found), overlaps, truth.crowd)
