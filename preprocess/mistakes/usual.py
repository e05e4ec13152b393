"""The usual mistakes of preprocessing: a recipe with one part changed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageOps

from portproof.preprocess.pixels.compiled import vertical_first
from portproof.preprocess.pixels.geometry import resized_size
from portproof.preprocess.pixels.pillow_images import RESAMPLING, open_image, to_rgb
from portproof.preprocess.pixels.transform import Preprocessor, Sample
from portproof.recipe import INTERPOLATIONS, Recipe, Resize

_MISSING, _CONSTANTS = "normalisation-missing", "normalisation-constants"
#: Constants in circulation: (fault, divide, mean, std).
_STATISTICS = {
    "ImageNet's": (_CONSTANTS, 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "0.5 and 0.5": (_CONSTANTS, 255.0, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "0 and 1 (not normalised)": (_MISSING, 255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "DPN's": (_CONSTANTS, 255.0, (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    "OpenAI CLIP's": (
        _CONSTANTS,
        255.0,
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    "raw pixels": (_MISSING, 1.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_DIVISORS = (1.0, 255.0, 256.0, 127.5)
#: Fractions of the resized image that the crop keeps, and sizes before the crop, as model cards
#: have them.
_CROP_RATIOS = (0.8, 0.85, 0.875, 0.9, 0.95, 0.96, 0.965, 1.0)
_SIZES = (232, 235, 256)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One part of a recipe changed: what was asked for, what is done instead, and the recipe that
    does it.

    ``fault``: the kind of mistake, None for one that a model's outputs hardly show. ``upright``:
    the EXIF orientation is applied; ``other_order``: Pillow's two passes are done in the other
    order.
    """

    part: str
    asked: str
    found: str
    recipe: Recipe
    fault: str | None = None
    upright: bool = False
    other_order: bool = False

    def apply(self, data: bytes) -> Sample:
        """The sample that the mistake makes of an image file."""
        if self.upright:
            data = _upright(data)
        if self.other_order:
            data = _resized_in_other_order(data, self.recipe)
        return Preprocessor(self.recipe)(data)[0]


def usual_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Every mistake of a recipe, the commonest first, each effect once. Some need OpenCV."""
    seen = {replace(recipe, name=""), replace(recipe, name="", crop=recipe.size)}
    for mistake in chain(
        _output_mistakes(recipe), _value_mistakes(recipe), _geometry_mistakes(recipe)
    ):
        effect = replace(mistake.recipe, name="")
        if effect not in seen:
            seen.add(effect)
            yield mistake
    yield Mistake("EXIF orientation", "ignored", "applied", recipe, upright=True)
    if recipe.resizer == "pillow" and recipe.resize:
        yield Mistake(
            "order of Pillow's two passes",
            "this Pillow's",
            "another Pillow version's (it changed in 13)",
            recipe,
            other_order=True,
        )


def _output_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    asked, other = recipe.channels, "BGR" if recipe.channels == "RGB" else "RGB"
    fault = "channel-order"
    yield Mistake("channel order", asked, other, replace(recipe, channels=other), fault)
    # The same pixels, but with each mean and std on the other end's channel.
    swapped = replace(recipe, channels=other, mean=recipe.mean[::-1], std=recipe.std[::-1])
    yield Mistake("channel order, with mean and std", asked, other, swapped, fault)
    layout = "NHWC" if recipe.layout == "NCHW" else "NCHW"
    yield Mistake("layout", recipe.layout, layout, replace(recipe, layout=layout), "layout")
    for dtype in ("float32", "float16", "uint8"):
        if dtype != "uint8" or not recipe.normalises:
            yield Mistake("dtype", recipe.dtype, dtype, replace(recipe, dtype=dtype))


def _value_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.dtype == "uint8":
        return  # raw pixels cannot be normalised wrongly
    faults = {recipe.divide**2: "scaling-twice", 1.0: "scaling-missing"}
    for divide in (*_DIVISORS, recipe.divide**2):
        yield Mistake(
            "scale",
            f"divide by {recipe.divide:g}",
            f"divide by {divide:g}",
            replace(recipe, divide=divide),
            faults.get(divide, _CONSTANTS),
        )
    asked = f"{recipe.mean} and {recipe.std}"
    for name, (fault, divide, mean, std) in _STATISTICS.items():
        changed = replace(recipe, divide=divide, mean=mean, std=std)
        yield Mistake("mean and std", asked, name, changed, fault)
        yield Mistake("mean", str(recipe.mean), str(mean), replace(recipe, mean=mean))
        yield Mistake("std", str(recipe.std), str(std), replace(recipe, std=std))
    twice = replace(
        recipe,
        mean=tuple(m + m * s for m, s in zip(recipe.mean, recipe.std, strict=True)),
        std=tuple(s * s for s in recipe.std),
    )
    yield Mistake("mean and std", asked, "the same, applied twice", twice, "normalisation-twice")


def _geometry_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    if recipe.resize is not None:
        yield from _interpolations(recipe, recipe.resize)
        yield from _sizes(recipe, recipe.resize)
    for rounding in ("half_even", "floor", "ceil") if recipe.crop else ():
        changed = replace(recipe, crop_rounding=rounding)
        yield Mistake("rounding of the crop's place", recipe.crop_rounding, rounding, changed)


def _interpolations(recipe: Recipe, resize: Resize) -> Iterator[Mistake]:
    for resizer, names in INTERPOLATIONS.items():
        for name in names:
            yield Mistake(
                "interpolation",
                f"{recipe.resizer} {resize.interpolation}",
                f"{resizer} {name}",
                replace(recipe, resizer=resizer, resize=replace(resize, interpolation=name)),
                "interpolation",
            )


def _sizes(recipe: Recipe, resize: Resize) -> Iterator[Mistake]:
    fault = "resize-crop"
    height, width = recipe.size

    def resized(**changes: Any) -> Recipe:
        return replace(recipe, resize=replace(resize, **changes), crop=(height, width))

    if resize.rule == "shorter":
        squashed = resized(rule="exact", size=(resize.size[0],) * 2, rounding="truncate")
        yield Mistake("resize", "the shorter side", "both sides, squashed", squashed, fault)
        other = "half_up" if resize.rounding == "truncate" else "truncate"
        rounded = resized(rounding=other)
        yield Mistake("rounding of the longer side", resize.rounding, other, rounded)
    before_crop = {int(min(height, width) / ratio) for ratio in _CROP_RATIOS} | {*_SIZES}
    asked = " x ".join(map(str, resize.size))
    for size in sorted(before_crop):
        changed = resized(rule="shorter", size=(size,))
        yield Mistake("size before the crop", asked, str(size), changed, fault)
    whole = resized(rule="exact", size=(height, width), rounding="truncate")
    no_crop = f"resize to {height} x {width}, no crop"
    yield Mistake("crop", "resize, then centre crop", no_crop, whole, fault)


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
