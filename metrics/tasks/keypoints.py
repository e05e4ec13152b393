"""Keypoints: average precision and recall by object keypoint similarity, as COCO defines them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.matching.coco import POINTS
from portproof.metrics.matching.overlap import keypoint_overlap
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution
from portproof.metrics.truth import Truth
from portproof.metrics.truth.coco_json import Objects, read_coco

PREDICTION = "instances"
FIGURES = POINTS.declared
figures, figure, stakes = POINTS.figures, POINTS.figure, POINTS.stakes

#: How far annotators differ on the 17 keypoints of COCO's persons, over the object's scale.
_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000.0


def read_truth(path: Path) -> Truth:
    """COCO annotations (``person_keypoints_val2017.json``), each with a box and keypoints. Other
    keypoints than COCO's 17 need ``sigmas`` in their category.
    """
    truth = read_coco(path)
    for name, objects in truth.samples.items():
        what = f"COCO annotations '{path}', image '{name}'"
        if not len(objects):
            continue
        if objects.keypoints is None or np.isnan(objects.boxes).any():
            raise InputError(
                f"{what}: an object has no 'keypoints' or no 'bbox'; give"
                " person_keypoints_val2017.json or one like it"
            )
        sigmas, count = _sigmas(objects), objects.keypoints.shape[1]
        if len(sigmas) != count or not (sigmas > 0).all():
            raise InputError(
                f"{what}: objects have {count} keypoints and there are {len(sigmas)} sigmas (more"
                " than 0); write 'sigmas', one a keypoint, into the category"
            )
    return truth


def contribution(prediction: Detections, truth: Objects) -> Contribution:
    """The matched detections of one image."""
    points = prediction.keypoints
    if points is None or len(points) != len(prediction):
        raise InputError(
            "detections without keypoints were given; a 'keypoints' list of x, y and score was"
            " expected in each"
        )
    counted = np.zeros(0, np.bool_)
    overlaps = np.zeros((len(prediction), len(truth)))
    if truth.keypoints is not None and truth.labelled is not None:
        if len(points) and points.shape[1:] != truth.keypoints.shape[1:]:
            raise InputError(
                f"detections have {points.shape[1]} keypoints, the truth has"
                f" {truth.keypoints.shape[1]}; the same keypoints in the same order were expected"
            )
        counted = truth.labelled > 0
        overlaps = keypoint_overlap(
            points, truth.keypoints, truth.boxes, truth.areas, _sigmas(truth)
        )
    extent = np.ptp(points[..., :2], axis=1) if points.size else np.zeros((len(prediction), 2))
    return POINTS.contribution(
        prediction, truth, extent[:, 0] * extent[:, 1], overlaps, truth.crowd | ~counted
    )


def _sigmas(truth: Objects) -> np.ndarray:
    return _SIGMAS if truth.sigmas is None else truth.sigmas
