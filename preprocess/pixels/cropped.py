"""Pillow's resize of no more than the crop keeps, and the proof that it gives the bits of the whole
resize.

Pillow's box= cannot do it: it is held in single precision, so other coefficients come of it. But
its horizontal pass works row by row and its vertical pass column by column, and between them levels
are rounded to 8 bits. So the rows that the kept rows need are resized horizontally, the kept
columns of the result vertically, each at its place in an image of the full height.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from PIL import Image

from portproof.preprocess.pixels.geometry import CropPlan, plan
from portproof.preprocess.pixels.pillow_images import (
    RESAMPLING,
    Pixels,
    crop_resized,
    on_canvas,
    vertical_first,
)
from portproof.recipe import Recipe, Resize

#: How many source pixels a resized pixel is made of, to each side (``support`` in Resample.c),
#: when nothing is reduced.
SUPPORT = {"box": 0.5, "bilinear": 1.0, "hamming": 1.0, "bicubic": 2.0, "lanczos": 3.0}

#: Sizes (height, width) of the trial: reduced, enlarged, one axis each way, and as tall as
#: horizontal-first goes.
TRIAL_SIZES = ((97, 131), (40, 61), (250, 64), (199, 100))


def crop_resized_first(image: Image.Image, recipe: Recipe) -> Pixels:
    """The same as :func:`portproof.preprocess.pixels.pillow_images.crop_resized`, for less work
    where there is less to do.
    """
    steps = plan(recipe, image.height, image.width)
    if recipe.resize is None or not _has_less(image, steps, recipe.resize.interpolation):
        return crop_resized(image, recipe)
    rows, columns = steps.rows, steps.columns
    resampling = RESAMPLING[recipe.resize.interpolation]
    first, end = _needed_rows(image.height, steps, SUPPORT[recipe.resize.interpolation])
    band = image.crop((0, first, image.width, end)).resize((steps.width, end - first), resampling)
    # Rows outside the band are black here, and no kept row is made of them.
    box = (columns.start, -first, columns.start + columns.length, image.height - first)
    kept = band.crop(box).resize((columns.length, steps.height), resampling)
    pixels = kept.crop((0, rows.start, columns.length, rows.start + rows.length))
    return on_canvas(np.asarray(pixels), steps, recipe)


def _has_less(image: Image.Image, steps: CropPlan, interpolation: str) -> bool:
    """Whether the crop drops something, of a resize in two passes, the horizontal one first."""
    return (
        interpolation in SUPPORT
        and image.width != steps.width
        and image.height != steps.height
        and (steps.rows.length, steps.columns.length) != (steps.height, steps.width)
        and not vertical_first(image.height, image.width, steps.height, steps.width)
    )


def _needed_rows(height: int, steps: CropPlan, support: float) -> tuple[int, int]:
    """The first source row that the kept rows are made of, and the end of these rows, or a row
    beyond either.
    """
    scale = height / steps.height
    reach = support * max(scale, 1.0) + 1
    last = steps.rows.start + steps.rows.length - 1
    first = int((steps.rows.start + 0.5) * scale - reach)
    return max(first, 0), min(int((last + 0.5) * scale + reach) + 1, height)


@functools.cache
def crops_first() -> bool:
    """Whether the installed Pillow gives the same bits both ways."""
    return all(
        np.array_equal(crop_resized_first(image, recipe), crop_resized(image, recipe))
        for recipe in map(trial_recipe, SUPPORT)
        for image in map(trial_image, *zip(*TRIAL_SIZES, strict=True))
    )


def trial_recipe(interpolation: Any) -> Recipe:
    """A recipe whose crop drops some rows of a trial's images, or some columns."""
    return Recipe(
        resize=Resize(size=(72,), interpolation=interpolation),
        crop=(64, 80),
        divide=1.0,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype="uint8",
    )


def trial_image(height: int, width: int) -> Image.Image:
    """Noise, the same on every host."""
    noise: Pixels = np.random.default_rng(height * 1000 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )
    return Image.fromarray(noise)
