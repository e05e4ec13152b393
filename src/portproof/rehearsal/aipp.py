"""AIPP of a simulated ``.om``: what ``atc --insert_op_conf`` puts before the model's first image
input.

Source of keys and formula: CANN's AIPP configuration, static mode, as public files have it: ``y =
(x - mean_chn - min_chn) * var_reci_chn``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

_KEY = re.compile(r"(\w+)\s*:\s*([-+\w.]+)")
_COMMENT = re.compile(r"#[^\n]*")


class Aipp(msgspec.Struct):
    """Static AIPP of RGB images: ``source`` and ``size`` are (height, width), ``start`` is (top,
    left) of the crop.
    """

    source: tuple[int, int]
    start: tuple[int, int]
    size: tuple[int, int]
    subtract: tuple[float, float, float]
    multiply: tuple[float, float, float]
    swap: bool

    def apply(self, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """uint8 NHWC of ``source`` to float32 NCHW of ``size``."""
        (top, left), (height, width) = self.start, self.size
        pixels = images[
            :, top : top + height, left : left + width, :: -1 if self.swap else 1
        ].astype(np.float32)
        done = (pixels - np.array(self.subtract, np.float32)) * np.array(self.multiply, np.float32)
        return np.ascontiguousarray(done.transpose(0, 3, 1, 2))


def read_aipp(path: Path) -> Aipp:
    """Read a configuration; :class:`ValueError` if it is not one, or cannot be simulated."""
    text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
    if "aipp_op" not in text:
        raise ValueError("the file has no aipp_op")
    keys = dict(_KEY.findall(text))
    if (
        keys.get("aipp_mode") != "static"
        or keys.get("input_format") != "RGB888_U8"
        or keys.get("csc_switch", "false") != "false"
    ):
        raise ValueError(
            "only aipp_mode static with input_format RGB888_U8 and without csc_switch is simulated"
        )

    def number(name: str, otherwise: int = 0) -> int:
        return int(keys.get(name, otherwise))

    source = number("src_image_size_h"), number("src_image_size_w")
    is_cut = keys.get("crop", "false") == "true"
    start = (number("load_start_pos_h"), number("load_start_pos_w")) if is_cut else (0, 0)
    size = (
        (number("crop_size_h", source[0]), number("crop_size_w", source[1])) if is_cut else source
    )
    if 0 in source or start[0] + size[0] > source[0] or start[1] + size[1] > source[1]:
        raise ValueError("the crop does not fit into src_image_size_h and src_image_size_w")
    low = [
        float(keys.get(f"mean_chn_{k}", 0)) + float(keys.get(f"min_chn_{k}", 0)) for k in range(3)
    ]
    factor = [float(keys.get(f"var_reci_chn_{k}", 1)) for k in range(3)]
    return Aipp(
        source,
        start,
        size,
        (low[0], low[1], low[2]),
        (factor[0], factor[1], factor[2]),
        keys.get("rbuv_swap_switch") == "true",
    )
