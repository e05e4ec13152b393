"""How far detections and objects overlap: boxes and keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def box_overlap(found: Floats, objects: Floats, crowd: NDArray[np.bool_]) -> Floats:
    """IoU of boxes (D, 4) and (G, 4), x, y, width, height: (D, G). With a crowd the share of the
    detection that is inside it, as pycocotools has it.
    """
    a, b = found[:, None], objects[None]
    width = np.minimum(a[..., 0] + a[..., 2], b[..., 0] + b[..., 2]) - np.maximum(
        a[..., 0], b[..., 0]
    )
    height = np.minimum(a[..., 1] + a[..., 3], b[..., 1] + b[..., 3]) - np.maximum(
        a[..., 1], b[..., 1]
    )
    shared = np.where((width > 0) & (height > 0), width * height, 0.0)
    own, other = a[..., 2] * a[..., 3], b[..., 2] * b[..., 3]
    union = np.where(crowd, own, own + other - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def keypoint_overlap(
    found: Floats, objects: Floats, boxes: Floats, areas: Floats, sigmas: Floats
) -> Floats:
    """Object keypoint similarity of detections (D, K, 3) and objects (G, K, 3): (D, G).

    As ``computeOks`` of pycocotools: only labelled keypoints (visibility over 0) count; an object
    without any is as near as its box (G, 4), twice as large again on each side, is.
    """
    result = np.zeros((len(found), len(objects)))
    if not result.size:
        return result
    scale = (2 * sigmas) ** 2
    for at, (points, (x, y, w, h), area) in enumerate(zip(objects, boxes, areas, strict=True)):
        seen = points[:, 2] > 0
        if seen.any():
            dx, dy = found[..., 0] - points[:, 0], found[..., 1] - points[:, 1]
        else:
            dx = _outside(found[..., 0], x - w, x + 2 * w)
            dy = _outside(found[..., 1], y - h, y + 2 * h)
            seen[:] = True
        error = (dx**2 + dy**2) / scale / (area + np.spacing(1)) / 2
        result[:, at] = np.exp(-error[:, seen]).sum(axis=1) / np.count_nonzero(seen)
    return result


def _outside(values: Floats, low: float, high: float) -> Floats:
    return np.maximum(0.0, low - values) + np.maximum(0.0, values - high)
