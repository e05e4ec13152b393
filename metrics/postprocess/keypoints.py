"""Detections with points each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.decoding.frame import placement
from portproof.metrics.postprocess.boxes import as_detections, detected
from portproof.metrics.predictions.instances import Detections
from portproof.postprocess import Keypoints

PREDICTION = "instances"


def decoder(settings: Keypoints, folder: Path) -> Decode:
    """Detections whose points are in pixels of the original image."""

    def decode(outputs: Outputs, sample: Sample) -> Detections:
        where = placement(sample, settings.frame)
        found = detected(settings, outputs, where)
        points = output_of(outputs, settings.points, "points")
        points = shaped(points, 3, "points", "(N, K, 3) or (N, K, 2)", may_be_empty=True)
        points = points.astype(np.float64)
        if points.shape[2] not in (2, 3):
            raise InputError(
                f"the output of the points has the shape {tuple(points.shape)}, (N, K, 3) or (N, K,"
                " 2) was expected; correct the post-processing"
            )
        if found.rows.size and int(found.rows.max()) >= len(points):
            raise InputError(
                f"the output of the points has {len(points)} rows, and there are more boxes; name"
                " the output that has points for every box"
            )
        kept = points[found.rows]
        if settings.relative and where.input_size is not None:
            kept[:, :, :2] *= [where.input_size[1], where.input_size[0]]
        kept[:, :, :2] = where.undo_points(kept[:, :, :2])
        if kept.shape[2] == 2:
            kept = np.concatenate([kept, np.ones((*kept.shape[:2], 1))], axis=2)
        return replace(as_detections(found, settings, where), keypoints=kept)

    return decode
