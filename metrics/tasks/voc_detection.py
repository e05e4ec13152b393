"""Object detection: PASCAL VOC's mean average precision of boxes at an overlap of 0.5."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.matching import voc
from portproof.metrics.matching.averages import stakes as stakes_in
from portproof.metrics.predictions.instances import Detections
from portproof.metrics.tasks import Contribution, Figure
from portproof.metrics.truth import Truth
from portproof.metrics.truth.coco_json import Objects
from portproof.metrics.truth.voc_xml import read_voc

PREDICTION = "instances"
#: ``mAP``: the area under the curve, as from VOC2010 on; ``mAP07``: VOC2007's eleven recall levels.
FIGURES = (Figure("mAP", chance=0.0), Figure("mAP07", chance=0.0))


def read_truth(path: Path) -> Truth:
    """The folder ``Annotations`` of XML files, or a list of ids in ``ImageSets/Main``."""
    return read_voc(path)


def contribution(prediction: Detections, truth: Objects) -> Contribution:
    """The judged detections of one image. Boxes are in pixels counted from 0; a box from x to
    x + width holds both ends, as VOC's do.
    """
    if np.isnan(prediction.boxes).any():
        raise InputError("detections without a box were given, and VOC judges boxes")
    return voc.contribution_of(prediction, truth)


def figure(name: str, found: Contributions, counts: NDArray[np.int64]) -> float | None:
    """One of the figures."""
    return voc.mean_precision(found, counts, levels=name == "mAP07")


def figures(found: Contributions, counts: NDArray[np.int64]) -> dict[str, float | None]:
    """Both figures."""
    return {f.name: figure(f.name, found, counts) for f in FIGURES}


def stakes(name: str, found: Contributions) -> NDArray[np.float64]:
    """What each image's objects carry."""
    return stakes_in(0, found)
