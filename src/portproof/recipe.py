"""The exact preprocessing of a model, as data."""

from __future__ import annotations

from typing import Literal

import msgspec

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos", "box", "hamming", "area"]


class Resize(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Resize before the crop. ``shorter``: the shorter side becomes ``size[0]`` pixels, the other keeps the ratio (truncated, as
    torchvision does); ``exact``: height and width become ``size``.
    """

    rule: Literal["shorter", "exact"] = "shorter"
    size: tuple[int, ...]
    interpolation: Interpolation = "bilinear"


class Recipe(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """From an image file to one sample of a model's input.

    Decode to RGB, resize, centre crop to ``crop`` (height, width), order channels, divide by ``divide``, subtract ``mean``, divide by
    ``std`` (one value a channel, in the order of ``channels``), write as ``dtype`` in ``layout``.
    """

    name: str = ""
    resizer: Literal["pillow", "opencv"] = "pillow"
    resize: Resize | None = None
    crop: tuple[int, int] | None = None
    channels: Literal["RGB", "BGR"] = "RGB"
    divide: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    dtype: Literal["float32", "float16", "uint8"] = "float32"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
