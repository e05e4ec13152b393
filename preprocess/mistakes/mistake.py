"""One mistake of preprocessing, and how to mend it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from portproof.preprocess.pixels.geometry import plan
from portproof.preprocess.pixels.pillow_images import open_image
from portproof.preprocess.pixels.transform import Preprocessor, Sample, values_of
from portproof.recipe import Recipe, Resize

Levels = npt.NDArray[Any]
Places = tuple[int, int]

#: What to do about each kind of mistake.
FIXES = {
    "channel-order": "give the model its channels in the card's order: look for a missing or second"
    " swap of RGB and BGR (OpenCV reads BGR; AIPP has rbuv_swap_switch)",
    "layout": "write samples in the model's layout: transpose height, width and channels once, and"
    " read bytes in the layout that they were written in",
    "normalisation-missing": "subtract the mean and divide by the std once, in the script or in"
    " AIPP or in the model",
    "normalisation-twice": "normalise in one place only: in the script, in AIPP, or in the model",
    "normalisation-constants": "take the constants of this model, not of another one",
    "normalisation-per-image": "take the constants of the data set, not each image's own range",
    "mean-missing": "subtract the mean before dividing by the std",
    "mean-misapplied": "subtract the mean, before dividing by the std",
    "std-missing": "divide by the std after subtracting the mean",
    "std-multiplied": "divide by the std: AIPP's var_reci_chn and like options take 1 / std",
    "variance-for-std": "divide by the std, not by its square or its root",
    "values-clipped": "leave normalised values as they are: below 0 and above 1 is right",
    "values-cut": "keep samples in floating point until they are written",
    "scaling-missing": "divide pixels by the card's number before normalising",
    "scaling-twice": "divide pixels once: ToTensor, AIPP and the model must not all do it",
    "scaling-integer": "divide in floating point: integer division makes zeros of pixels",
    "interpolation": "resize with the card's library and filter: they differ in antialiasing",
    "resize-crop": "resize by the card's rule to the card's size, and crop the centre after it",
    "crop-place": "crop the centre, with the card's rounding of odd margins",
    "decoding-draft": "decode JPEG files in full size before the resize: no draft, no scaled"
    " decoding, no thumbnail",
    "recompression": "read the original files: these were compressed again on the way",
    "exif-orientation": "treat the EXIF orientation as the card's decoder does",
    "mirrored": "take the flip out: it belongs to training",
    "upside-down": "take the flip out; look for bottom-up rows of a bitmap",
    "rotated": "take the rotation out; look for swapped height and width",
    "video-range": "convert YUV with full range (JPEG's), or expand video levels 16..235 once: see"
    " the matrix of AIPP's csc",
    "few-bits": "keep 8 bits of every channel: look for RGB565 or a palette on the way",
    "grey": "keep the colours: the images were made grey on the way, or one channel stands thrice",
    "channel-lost": "keep all three channels: one is zeros; look for a buffer of two planes",
    "colour-space": "convert to RGB before the resize: look for a decoder that gives YUV, HSV or"
    " LAB, and for AIPP's csc_switch; for NV12 and NV21; and for the matrix (JPEG has BT.601)",
    "chroma-subsampling": "keep the colours of every pixel: 4:2:0 (NV12, AIPP's YUV420SP_U8) has"
    " one colour for four pixels",
    "signed-bytes": "read pixels as unsigned bytes (uint8): int8 makes 128..255 negative",
    "overflow": "do the arithmetic of pixels in float, or saturate it (np.clip, cv2.add): bytes"
    " wrap round beyond 255 and below 0",
    "gamma": "leave the levels linear: look for a gamma correction or a conversion of sRGB",
    "blurred": "read the image in its size: it was made small and enlarged again on the way",
    "row-stride": "give reader and writer of the pixels' buffer the same length of rows: hardware"
    " fills rows up to a multiple of 16 or more pixels",
    "rolled": "look for a wrong stride or start address of the pixels' buffer: rows or columns are"
    " moved round",
    "inverted": "take the inversion of the pixels out",
}


@dataclass(frozen=True, slots=True)
class Change:
    """What a recipe has no word for, done at one step: to the ``file``, to the ``place`` (top,
    left) of the crop in the resized image, to the ``pixels`` (height, width, RGB) after the crop,
    or to the ``values`` of the sample. Changes are told apart by ``name``.
    """

    name: str
    file: Callable[[bytes, Recipe], bytes] | None = field(default=None, compare=False)
    place: Callable[[Places, Places], Places] | None = field(default=None, compare=False)
    pixels: Callable[[Levels], Levels] | None = field(default=None, compare=False)
    values: Callable[[Sample], Sample] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One part of preprocessing changed: what was asked for, what is done instead, the recipe that
    does it, and what is changed beside the recipe.

    ``fault``: the kind of mistake, None for one that a model's outputs hardly show.
    """

    part: str
    asked: str
    found: str
    recipe: Recipe
    fault: str | None = None
    changes: tuple[Change, ...] = ()

    @property
    def fix(self) -> str:
        """What to do about it."""
        return FIXES[self.fault] if self.fault else f"do as asked: {self.asked}"

    def apply(self, data: bytes) -> Sample:
        """The sample that the mistake makes of an image file."""
        for change in self.changes:
            data = change.file(data, self.recipe) if change.file else data
        levels: Levels = self._pixels(data)
        for change in self.changes:
            levels = change.pixels(levels) if change.pixels else levels
        sample = values_of(levels, self.recipe)
        for change in self.changes:
            sample = change.values(sample) if change.values else sample
        return np.ascontiguousarray(sample)

    def _pixels(self, data: bytes) -> Levels:
        """The pixels after resize and crop, at the place that the changes ask for."""
        place = next((c.place for c in self.changes if c.place), None)
        if place is None:
            return _cropped(data, _raw(self.recipe))
        image = open_image(data)
        steps = plan(self.recipe, image.height, image.width)
        height, width = self.recipe.size
        if steps.height < height or steps.width < width:
            return _cropped(data, _raw(self.recipe))
        margin = steps.height - height, steps.width - width
        top, left = place((steps.rows.start, steps.columns.start), margin)
        top, left = min(max(top, 0), margin[0]), min(max(left, 0), margin[1])
        whole = _cropped(data, _whole(self.recipe, steps.height, steps.width))
        return whole[top : top + height, left : left + width]


@functools.lru_cache(maxsize=8)
def _preprocessor(recipe: Recipe) -> Preprocessor:
    """One for all images of a folder: its tables are worked out once."""
    return Preprocessor(recipe)


@functools.lru_cache(maxsize=64)
def _cropped(data: bytes, recipe: Recipe) -> Levels:
    """The pixels of a recipe without arithmetic, for the mistakes that differ only after them."""
    pixels = _preprocessor(recipe)(data)[0]
    pixels.flags.writeable = False
    return pixels


def _raw(recipe: Recipe) -> Recipe:
    """The recipe up to its pixels: RGB bytes (height, width, 3)."""
    none, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return replace(
        recipe, channels="RGB", divide=1.0, mean=none, std=one, dtype="uint8", layout="NHWC"
    )


def _whole(recipe: Recipe, height: int, width: int) -> Recipe:
    """The pixels of the resized image, of this size, without a crop."""
    resize = recipe.resize
    if resize is None:
        return replace(_raw(recipe), crop=(height, width))
    exact = Resize(rule="exact", size=(height, width), interpolation=resize.interpolation)
    return replace(_raw(recipe), resize=exact, crop=None)
