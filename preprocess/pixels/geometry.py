"""Sizes and places of resize and crop, with the rounding of each family of scripts. Pixels
throughout, height before width.
"""

from __future__ import annotations

from dataclasses import dataclass

from portproof.core.errors import InputError
from portproof.recipe import Recipe, Resize

#: The largest image that a resize may pass through: a file of 20,000 x 1 pixels makes the reference
#: itself use 6 GB.
MAX_INTERMEDIATE_PIXELS = 256_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """Along one axis: ``length`` pixels from ``start`` of the resized image go to ``place`` of the
    sample; the rest of it is fill.
    """

    start: int
    place: int
    length: int


@dataclass(frozen=True, slots=True)
class CropPlan:
    """The size of an image after the resize, and what the crop keeps of it."""

    height: int
    width: int
    rows: Span
    columns: Span


def plan(recipe: Recipe, height: int, width: int) -> CropPlan:
    """The plan for an image of ``height`` x ``width``; :class:`InputError` when its resized form
    would vanish or be enormous.
    """
    new_height, new_width = (
        resized_size(recipe.resize, height, width) if recipe.resize else (height, width)
    )
    if new_height < 1 or new_width < 1:
        raise InputError(
            f"its {width} x {height} pixels would become {new_width} x {new_height}; leave it out"
        )
    largest = max(new_width * new_height, new_width * height, width * new_height)
    if largest > MAX_INTERMEDIATE_PIXELS:
        raise InputError(
            f"resizing its {width} x {height} pixels would pass through {largest / 1e6:.0f}"
            f" megapixels, at most {MAX_INTERMEDIATE_PIXELS // 1_000_000} are allowed; leave it out"
        )
    crop_height, crop_width = recipe.size
    return CropPlan(
        new_height,
        new_width,
        _span(new_height, crop_height, recipe),
        _span(new_width, crop_width, recipe),
    )


def resized_size(resize: Resize, height: int, width: int) -> tuple[int, int]:
    """Height and width after the resize.

    Sources: torchvision's ``_compute_resized_output_size`` (``shorter``), timm's
    ``ResizeKeepRatio.get_params`` (``cover``, ``contain``), Ultralytics' ``LetterBox``, mmcv's
    ``rescale_size`` and YOLOX's ``preproc`` (``letterbox``), the ShuffleNetV2+ script's
    ``OpencvResize`` (``shorter`` with ``half_up``). The order of the operations is theirs: another
    one rounds differently.
    """
    if resize.rule == "exact":
        return resize.size[0], resize.size[1]
    if resize.rule == "shorter":
        size, (short, long) = resize.size[0], sorted((height, width))
        other = (
            int(size * long / short)
            if resize.rounding == "truncate"
            else int(size / short * long + 0.5)
        )
        return (other, size) if width <= height else (size, other)
    if resize.rule == "letterbox":
        gain = min(resize.size[0] / height, resize.size[1] / width)
        gain = gain if resize.upscale else min(gain, 1.0)
        return _rounded(height * gain, resize.rounding), _rounded(width * gain, resize.rounding)
    ratios = height / resize.size[0], width / resize.size[1]
    ratio = min(ratios) if resize.rule == "cover" else max(ratios)
    return round(height / ratio), round(width / ratio)


def _rounded(value: float, rounding: str) -> int:
    return {"half_even": round(value), "half_up": int(value + 0.5), "truncate": int(value)}[
        rounding
    ]


def _span(size: int, crop: int, recipe: Recipe) -> Span:
    if recipe.place == "top_left" and size < crop:
        return Span(0, 0, size)
    return centre_span(size, crop, recipe.crop_rounding)


def centre_span(size: int, crop: int, rounding: str) -> Span:
    """Where a centre crop of ``crop`` lies on an axis of ``size``; a smaller image is padded, the
    odd pixel at its end.

    >>> centre_span(341, 224, "half_even"), centre_span(341, 224, "ceil")
    (Span(start=58, place=0, length=224), Span(start=59, place=0, length=224))
    >>> centre_span(3, 6, "half_even")
    Span(start=0, place=1, length=3)
    """
    if size < crop:
        return Span(0, (crop - size) // 2, size)
    margin = size - crop
    start = {"half_even": round(margin / 2.0), "floor": margin // 2, "ceil": (margin + 1) // 2}[
        rounding
    ]
    return Span(start, 0, crop)
