"""Regions of text from a map of probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import MissingPackageError
from portproof.metrics.decoding.arrays import Array, Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.decoding.frame import placement
from portproof.metrics.truth import text_regions
from portproof.postprocess import Regions

PREDICTION = "polygons"

Points = NDArray[np.float64]


def decoder(settings: Regions, folder: Path) -> Decode:
    """Quadrangles in pixels of the original image."""
    try:
        import cv2
    except ImportError as error:
        needed = "post-processing of the kind 'regions'"
        raise MissingPackageError("opencv-python-headless", needed, "opencv") from error

    def decode(outputs: Outputs, sample: Sample) -> text_regions.Regions:
        where = placement(sample, settings.frame)
        given = output_of(outputs, settings.output, "regions")
        map_of_text = shaped(given, 2, "regions", "(height, width)").astype(np.float32)
        height, width = where.input_size or map_of_text.shape
        # the map may be smaller than the input
        step = np.array([width / map_of_text.shape[1], height / map_of_text.shape[0]])
        found = []
        for points in _quadrangles(cv2, np.ascontiguousarray(map_of_text), settings):
            corners = where.undo_points(points * step)
            if where.size is not None:
                corners = np.clip(corners, 0.0, [float(where.size[1]), float(where.size[0])])
            found.append(corners)
        return text_regions.Regions(tuple(found), (False,) * len(found))

    return decode


def _quadrangles(cv2: Any, map_of_text: Array, settings: Regions) -> list[Points]:
    over = (map_of_text > settings.threshold).astype(np.uint8)
    contours = cv2.findContours(over, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)[0]
    found = []
    for contour in contours[: settings.max_regions]:
        centre, sides, angle = cv2.minAreaRect(contour)
        if min(sides) < settings.min_side:
            continue
        if _mean_inside(cv2, map_of_text, cv2.boxPoints((centre, sides, angle))) < (
            settings.box_threshold
        ):
            continue
        # all around it; round corners of the grown shape do not change the rectangle around it
        further = sides[0] * sides[1] * settings.unclip_ratio / (sides[0] + sides[1])
        grown = (sides[0] + further, sides[1] + further)
        if min(grown) >= settings.min_side + 2:
            found.append(cv2.boxPoints((centre, grown, angle)).astype(np.float64))
    return found


def _mean_inside(cv2: Any, map_of_text: Array, corners: Array) -> float:
    """The mean of the map inside of a quadrangle (``box_score_fast``)."""
    height, width = map_of_text.shape
    last = [width - 1, height - 1]
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, last).astype(int).tolist()
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, last).astype(int).tolist()
    mask = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(mask, [(corners - [left, top]).astype(np.int32)], 1)
    inside = map_of_text[top : bottom + 1, left : right + 1][mask.astype(bool)]
    return float(inside.mean()) if inside.size else 0.0
