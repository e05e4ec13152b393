"""How far detections and objects overlap: boxes, masks and keypoints."""

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
