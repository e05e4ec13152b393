"""Decode, resize and crop with OpenCV, for recipes of scripts that used it. Its resizers do not
filter when shrinking: other bits than Pillow's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from portproof.core.errors import InputError, MissingPackageError
from portproof.preprocess.pixels.geometry import plan
from portproof.preprocess.pixels.pillow_images import Pixels, on_canvas
from portproof.recipe import Recipe

try:
    import cv2
except ImportError as error:
    raise MissingPackageError(
        "opencv-python-headless", "a recipe whose decoder or resizer is 'opencv'", "opencv"
    ) from error

_FLAGS = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
    "area": cv2.INTER_AREA,
}

# The pipeline has its own workers.
cv2.setNumThreads(1)


def decode(data: bytes) -> Pixels:
    """Decode as ``cv2.imread`` does (EXIF applied, no transparency): (height, width, 3)."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if bgr is None:
        raise InputError("OpenCV cannot decode it; replace or remove it")
    return np.ascontiguousarray(bgr[:, :, ::-1])


def crop_resized(pixels: Pixels, recipe: Recipe) -> Pixels:
    """Resize and crop an RGB image by OpenCV: (height, width, 3) bytes in RGB order."""
    steps = plan(recipe, *pixels.shape[:2])
    if recipe.resize:
        resized: Any = cv2.resize(
            pixels, (steps.width, steps.height), interpolation=_FLAGS[recipe.resize.interpolation]
        )
        pixels = resized
    rows, columns = steps.rows, steps.columns
    kept = pixels[
        rows.start : rows.start + rows.length, columns.start : columns.start + columns.length
    ]
    return on_canvas(kept, steps, recipe)
