"""Object detection: average precision and recall of boxes, as COCO defines them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.matching.coco import REGIONS
from portproof.metrics.matching.overlap import box_overlap
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution
from portproof.metrics.truth import Truth
from portproof.metrics.truth.coco_json import Objects, read_coco

PREDICTION = "instances"
FIGURES = REGIONS.declared
figures, figure, stakes = REGIONS.figures, REGIONS.figure, REGIONS.stakes


def read_truth(path: Path) -> Truth:
    """COCO annotations (``instances_val2017.json``), each with a box."""
    truth = read_coco(path)
    bare = [name for name, objects in truth.samples.items() if np.isnan(objects.boxes).any()]
    if bare:
        raise InputError(
            f"COCO annotations '{path}': objects of {len(bare)} images have no 'bbox' ({bare[0]}),"
            " which detection is judged by; give instances with boxes"
        )
    return truth


def contribution(prediction: Detections, truth: Objects) -> Contribution:
    """The matched detections of one image."""
    if np.isnan(prediction.boxes).any():
        raise InputError(
            "detections without a box were given, and detection is judged by boxes; masks alone are"
            " judged by the task instance_segmentation"
        )
    areas = prediction.boxes[:, 2] * prediction.boxes[:, 3]
    overlaps = box_overlap(prediction.boxes, truth.boxes, truth.crowd)
    return REGIONS.contribution(prediction, truth, areas, overlaps, truth.crowd)
