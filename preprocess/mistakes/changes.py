"""The single mistakes that scripts in circulation make: a recipe with one part changed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageOps

from portproof.preprocess.pixels.compiled import vertical_first
from portproof.preprocess.pixels.geometry import resized_size
from portproof.preprocess.pixels.pillow_images import RESAMPLING, open_image, to_rgb
from portproof.preprocess.pixels.transform import Preprocessor, Sample
from portproof.recipe import INTERPOLATIONS, Recipe

#: Statistics in circulation: (divide, mean, std).
STATISTICS = {
    "ImageNet's": (255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0.5 and 0.5": (255.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 and 1 (not normalised)": (255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "DPN's": (255.0, (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    "OpenAI CLIP's": (
        255.0,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "raw pixels": (1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One part of a recipe changed: what was asked for, and what would have been done instead."""

    part: str
    asked: str
    found: str
    recipe: Recipe
    orientation: bool = False
    other_order: bool = False

    def apply(self, data: bytes) -> Sample:
        """The sample that the changed recipe makes of an image file."""
        if self.orientation:
            data = _upright(data)
        if self.other_order:
            data = _resized_in_other_order(data, self.recipe)
        return Preprocessor(self.recipe)(data)[0]


def single_changes(recipe: Recipe) -> Iterator[Change]:
    """Every change that is tried, the commonest first. Changes that need OpenCV are left out where
    it is not installed.
    """
    yield from _output_changes(recipe)
    yield from _value_changes(recipe)
    yield from _resize_changes(recipe)
    yield from _crop_changes(recipe)
    yield Change("EXIF orientation", "ignored", "applied", recipe, orientation=True)
    if recipe.resizer == "pillow" and recipe.resize:
        yield Change(
            "order of Pillow's two passes",
            "this Pillow's",
            "another Pillow version's (it changed in 13)",
            recipe,
            other_order=True,
        )


def _output_changes(recipe: Recipe) -> Iterator[Change]:
    other = "BGR" if recipe.channels == "RGB" else "RGB"
    yield Change("channel order", recipe.channels, other, replace(recipe, channels=other))
    # The same pixels, but with each mean and std on the other end's channel.
    swapped = replace(recipe, channels=other, mean=recipe.mean[::-1], std=recipe.std[::-1])
    yield Change("channel order, with mean and std", recipe.channels, other, swapped)
    layout = "NHWC" if recipe.layout == "NCHW" else "NCHW"
    yield Change("layout", recipe.layout, layout, replace(recipe, layout=layout))
    for dtype in ("float32", "float16", "uint8"):
        if dtype != recipe.dtype and (dtype != "uint8" or not recipe.normalises):
            yield Change("dtype", recipe.dtype, dtype, replace(recipe, dtype=dtype))


def _value_changes(recipe: Recipe) -> Iterator[Change]:
    if recipe.dtype == "uint8":
        return
    for divide in (1.0, 255.0, 256.0, 127.5):
        if divide != recipe.divide:
            yield Change(
                "scale",
                f"divide by {recipe.divide:g}",
                f"divide by {divide:g}",
                replace(recipe, divide=divide),
            )
    for name, (divide, mean, std) in STATISTICS.items():
        if (mean, std) != (recipe.mean, recipe.std) or divide != recipe.divide:
            asked = f"{recipe.mean} and {recipe.std}"
            yield Change(
                "mean and std", asked, name, replace(recipe, divide=divide, mean=mean, std=std)
            )
        if mean != recipe.mean:
            yield Change("mean", str(recipe.mean), str(mean), replace(recipe, mean=mean))
        if std != recipe.std:
            yield Change("std", str(recipe.std), str(std), replace(recipe, std=std))


def _resize_changes(recipe: Recipe) -> Iterator[Change]:
    if recipe.resize is None:
        return
    resize, asked = recipe.resize, f"{recipe.resizer} {recipe.resize.interpolation}"
    resizers = ["pillow"] + (["opencv"] if importlib.util.find_spec("cv2") else [])
    for resizer in resizers:
        for interpolation in INTERPOLATIONS[resizer]:
            if (resizer, interpolation) != (recipe.resizer, resize.interpolation):
                changed: Any = replace(resize, interpolation=interpolation)
                yield Change(
                    "interpolation",
                    asked,
                    f"{resizer} {interpolation}",
                    replace(recipe, resizer=resizer, resize=changed),
                )
    height, width = recipe.size
    if resize.rule == "shorter":
        squashed = replace(
            resize, rule="exact", size=(resize.size[0], resize.size[0]), rounding="truncate"
        )
        yield Change(
            "resize", "the shorter side", "both sides, squashed", replace(recipe, resize=squashed)
        )
        half_up = replace(
            resize, rounding="half_up" if resize.rounding == "truncate" else "truncate"
        )
        yield Change(
            "rounding of the longer side",
            resize.rounding,
            half_up.rounding,
            replace(recipe, resize=half_up),
        )
        percentages = {
            int(min(height, width) / percentage)
            for percentage in (0.8, 0.85, 0.875, 0.9, 0.95, 0.96, 0.965, 1.0)
        }
        for size in sorted({*percentages, 232, 235, 256} - {resize.size[0]}):
            yield Change(
                "size before the crop",
                str(resize.size[0]),
                str(size),
                replace(recipe, resize=replace(resize, size=(size,))),
            )
    whole = replace(resize, rule="exact", size=(height, width), rounding="truncate")
    if whole != resize:
        yield Change(
            "crop",
            "resize, then centre crop",
            f"resize to {height} x {width}, no crop",
            replace(recipe, resize=whole),
        )


def _crop_changes(recipe: Recipe) -> Iterator[Change]:
    for rounding in ("half_even", "floor", "ceil"):
        if recipe.crop and rounding != recipe.crop_rounding:
            yield Change(
                "rounding of the crop's place",
                recipe.crop_rounding,
                rounding,
                replace(recipe, crop_rounding=rounding),
            )


def _upright(data: bytes) -> bytes:
    """The image turned as its EXIF orientation says, losslessly encoded."""
    return _encoded(ImageOps.exif_transpose(to_rgb(open_image(data))))


def _resized_in_other_order(data: bytes, recipe: Recipe) -> bytes:
    """The resized image, for sizes that Pillow 13 treats vertically first: in the order that the
    installed Pillow does not take.
    """
    image = to_rgb(open_image(data))
    assert recipe.resize is not None
    height, width = resized_size(recipe.resize, image.height, image.width)
    if not vertical_first(image.height, image.width, height, width):
        return data
    method = RESAMPLING[recipe.resize.interpolation]
    across_first = image.resize((width, image.height), method).resize((width, height), method)
    down_first = image.resize((image.width, height), method).resize((width, height), method)
    as_installed = np.asarray(image.resize((width, height), method))
    other = across_first if np.array_equal(as_installed, np.asarray(down_first)) else down_first
    return _encoded(other)


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()
