"""Decode, resize and crop with Pillow; the reference path, whose bits every other path must equal.

It does what ``Image.open(file).convert("RGB")`` and torchvision's or timm's evaluation transforms
do, with their own library calls.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from portproof.core.errors import InputError
from portproof.preprocess.pixels.geometry import CropPlan, plan
from portproof.recipe import Recipe

Pixels = npt.NDArray[np.uint8]

#: Modes whose conversion to RGB clips values above 255 instead of scaling them (as the reference
#: does).
CLIPPED_MODES = ("I", "I;16", "I;16B", "I;16L", "F")

RESAMPLING = {
    name.lower(): Image.Resampling[name]
    for name in ("NEAREST", "BILINEAR", "BICUBIC", "LANCZOS", "BOX", "HAMMING")
}


def open_image(data: bytes) -> Image.Image:
    """An image whose header was read, not yet its pixels; :class:`InputError` (to be prefixed with
    the file's name) if it is not an image, or a decompression bomb: above Pillow's own limit for a
    warning.
    """
    if not data:
        raise InputError("it is empty (0 bytes); replace or remove it")
    try:
        image = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise InputError("it is not an image that Pillow knows; replace or remove it") from None
    except Image.DecompressionBombError as error:
        raise InputError(
            f"it is refused as a decompression bomb ({error}); replace or remove it"
        ) from None
    # broken headers end in any of OSError, SyntaxError, ValueError, struct.error, IndexError
    except Exception as error:
        raise InputError(
            f"it cannot be opened as an image ({type(error).__name__}: {error}); replace or"
            " remove it"
        ) from error
    if is_bomb(image.height, image.width):
        raise InputError(
            f"it is refused as a decompression bomb: {image.width} x {image.height} pixels, at most"
            f" {Image.MAX_IMAGE_PIXELS} are allowed"
        )
    return image


def is_bomb(height: int, width: int) -> bool:
    """Whether an image has more pixels than Pillow allows without a warning."""
    return Image.MAX_IMAGE_PIXELS is not None and height * width > Image.MAX_IMAGE_PIXELS


def to_rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB; EXIF orientation is ignored, as ``convert("RGB")`` does."""
    try:
        image.load()
        return image if image.mode == "RGB" else image.convert("RGB")
    except MemoryError:
        raise
    # a damaged body ends in any of OSError, SyntaxError, ValueError, struct.error, EOFError,
    # zlib.error
    except Exception as error:
        raise InputError(f"it is truncated or damaged ({error}); replace or remove it") from error


def crop_resized(image: Image.Image, recipe: Recipe) -> Pixels:
    """Resize and crop an RGB image by Pillow: (height, width, 3) bytes in RGB order."""
    steps = plan(recipe, image.height, image.width)
    if recipe.resize and (steps.width, steps.height) != image.size:
        image = image.resize((steps.width, steps.height), RESAMPLING[recipe.resize.interpolation])
    rows, columns = steps.rows, steps.columns
    box = (columns.start, rows.start, columns.start + columns.length, rows.start + rows.length)
    return on_canvas(np.asarray(image.crop(box)), steps, recipe)


def vertical_first(height: int, width: int, new_height: int, new_width: int) -> bool:
    """Whether Pillow 13 resizes vertically first (python-pillow/Pillow#9549; found by trying 1500
    sizes, none of them an exception).

    Earlier versions never do; leaving these images to Pillow is right for both.
    """
    return height > new_height and height - new_height > 2 * (width - new_width)


def on_canvas(pixels: Pixels, steps: CropPlan, recipe: Recipe) -> Pixels:
    """The kept pixels at their place in a sample of the recipe's size; the rest is ``fill``.
    Nothing is copied when nothing is missing.
    """
    height, width = recipe.size
    if pixels.shape[:2] == (height, width):
        return pixels
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = recipe.fill
    rows, columns = steps.rows, steps.columns
    canvas[
        rows.place : rows.place + rows.length, columns.place : columns.place + columns.length
    ] = pixels
    return canvas
