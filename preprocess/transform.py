"""From the bytes of an image file to one sample of a model's input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from portproof.preprocess.images import CLIPPED_MODES, Pixels, crop_resized, open_image, to_rgb
from portproof.recipe import Recipe

Sample = npt.NDArray[Any]


class Preprocessor:
    """Applies one recipe to one image after the other; safe to call from several threads.

    ``core`` names what computes the bits: ``pillow`` or ``opencv``.
    """

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.core = recipe.resizer
        self._pixels = self._pixel_function()

    def __call__(self, data: bytes) -> tuple[Sample, bool]:
        """One sample, contiguous, of the recipe's shape and dtype, and whether the image's values were clipped to 8 bits.

        :class:`InputError`, to be prefixed with the file's name, when the bytes are not a whole image or the recipe cannot take it.
        """
        pixels, clipped = self._pixels(data)
        return values_of(pixels, self.recipe), clipped

    def _pixel_function(self) -> Callable[[bytes], tuple[Pixels, bool]]:
        recipe = self.recipe
        if recipe.decoder == "pillow" and recipe.resizer == "pillow":
            return lambda data: _with_pillow(data, recipe)
        from portproof.preprocess import opencv_images

        def by_opencv(data: bytes) -> tuple[Pixels, bool]:
            image = open_image(data)
            clipped = recipe.decoder == "pillow" and image.mode in CLIPPED_MODES
            source = to_rgb(image) if recipe.decoder == "pillow" else opencv_images.decode(data)
            if recipe.resizer == "opencv":
                return opencv_images.crop_resized(source, recipe), clipped
            return crop_resized(Image.fromarray(np.asarray(source)), recipe), clipped

        return by_opencv


def values_of(pixels: Pixels, recipe: Recipe) -> Sample:
    """Order channels, scale, lay out: (height, width, 3) RGB bytes become one sample of the recipe's shape and dtype.

    The arithmetic is that of torchvision's ``ToTensor`` and ``Normalize``: float32 throughout, divide, subtract, divide; float16 is rounded
    once, at the end.
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


def _with_pillow(data: bytes, recipe: Recipe) -> tuple[Pixels, bool]:
    image = open_image(data)
    clipped = image.mode in CLIPPED_MODES
    return crop_resized(to_rgb(image), recipe), clipped
