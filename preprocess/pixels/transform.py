"""From the bytes of an image file to one sample of a model's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from portproof.preprocess.pixels.cropped import crop_resized_first, crops_first
from portproof.preprocess.pixels.pillow_images import (
    CLIPPED_MODES,
    Pixels,
    crop_resized,
    open_image,
    to_rgb,
)
from portproof.recipe import Recipe

if TYPE_CHECKING:
    from portproof.preprocess.pixels.compiled import CompiledRecipe

Sample = npt.NDArray[Any]


class Preprocessor:
    """Applies one recipe to one image after the other; safe to call from several threads.

    ``core`` says what computes the bits, and why it is not the compiled core when it is not: they
    are the same bits. ``use_compiled=False`` leaves the compiled core out.
    """

    def __init__(self, recipe: Recipe, use_compiled: bool = True) -> None:
        self.recipe = recipe
        self._compiled: CompiledRecipe | None = None
        if "opencv" in (recipe.decoder, recipe.resizer):
            self.core = "opencv"
        elif not use_compiled:
            self.core = "pillow (the compiled core was not wanted)"
        else:
            self.core = self._use_compiled()

    def _use_compiled(self) -> str:
        from portproof.preprocess.pixels.compiled import CompiledRecipe, proven_core
        from portproof.preprocess.pixels.native.build import CoreUnavailable

        try:
            core = proven_core()
            self._compiled = CompiledRecipe(self.recipe, core)
        except CoreUnavailable as reason:
            return f"pillow ({reason})"
        return "compiled" if core.decodes_jpeg else "compiled, JPEG decoded by Pillow"

    def __call__(self, data: bytes) -> tuple[Sample, bool]:
        """One sample, contiguous, of the recipe's shape and dtype, and whether the image's values
        were clipped to 8 bits.

        :class:`InputError`, to be prefixed with the file's name, when the bytes are not a whole
        image or the recipe cannot take it.
        """
        sample = self._compiled.of_plain_jpeg(data) if self._compiled is not None else None
        if sample is not None:
            return sample, False
        image = open_image(data)
        clipped = self.recipe.decoder == "pillow" and image.mode in CLIPPED_MODES
        if self._compiled is not None:
            sample = self._compiled(image, data)
            if sample is not None:
                return sample, clipped
        return values_of(self._pixels(image, data), self.recipe), clipped

    def _pixels(self, image: Image.Image, data: bytes) -> Pixels:
        recipe = self.recipe
        if (recipe.decoder, recipe.resizer) == ("pillow", "pillow"):
            resized = crop_resized_first if crops_first() else crop_resized
            return resized(to_rgb(image), recipe)
        from portproof.preprocess.pixels import opencv_images

        rgb = (
            opencv_images.decode(data) if recipe.decoder == "opencv" else np.asarray(to_rgb(image))
        )
        return (
            opencv_images.crop_resized(rgb, recipe)
            if recipe.resizer == "opencv"
            else crop_resized(Image.fromarray(rgb), recipe)
        )


def values_of(pixels: Pixels, recipe: Recipe) -> Sample:
    """Order channels, scale, lay out: (height, width, 3) RGB bytes become one sample of the
    recipe's shape and dtype.

    The arithmetic is that of torchvision's ``ToTensor`` and ``Normalize``: float32 throughout,
    divide, subtract, divide; float16 is rounded once, at the end.
    """
    ordered = pixels if recipe.channels == "RGB" else pixels[:, :, ::-1]
    planes = ordered.transpose(2, 0, 1) if recipe.layout == "NCHW" else ordered
    if recipe.dtype == "uint8":
        return np.ascontiguousarray(planes)
    sample = np.empty(recipe.shape, np.float32)
    sample[...] = planes
    if recipe.normalises:
        each = (3, 1, 1) if recipe.layout == "NCHW" else (3,)
        sample /= np.float32(recipe.divide)
        sample -= np.array(recipe.mean, np.float32).reshape(each)
        sample /= np.array(recipe.std, np.float32).reshape(each)
    return sample.astype(recipe.dtype, copy=False)
