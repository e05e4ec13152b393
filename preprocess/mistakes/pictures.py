"""Mistakes between the image file and the pixels: decoding, orientation, resize, crop, levels."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace
from PIL import Image, ImageOps

from portproof.preprocess.mistakes.mistake import Change, Levels, Mistake, Places
from portproof.preprocess.pixels.geometry import resized_size
from portproof.preprocess.pixels.pillow_images import RESAMPLING, open_image, to_rgb, vertical_first
from portproof.recipe import INTERPOLATIONS, Recipe, Resize

#: Fractions of the resized image that the crop keeps, and sizes before the crop, as model cards
#: have them.
_CROP_RATIOS = (0.8, 0.85, 0.875, 0.9, 0.95, 0.96, 0.965, 1.0)
_SIZES = (232, 235, 256)
_MOST_PIXELS_OFF = 4
#: What only the rules 'shorter' and 'letterbox' have, as the other rules have it.
_PLAIN: dict[str, Any] = {"rounding": "truncate", "upscale": True}
_QUALITIES = (50, 75, 90)
#: Rows begin at multiples of so many pixels where hardware writes them.
_ALIGNED = (16, 32, 64, 128, 256)
#: Colours of a palette (GIF, PNG).
_PALETTES = (16, 64, 128, 256)


def geometry_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Another resize or crop."""
    if recipe.resize is not None:
        yield from _interpolations(recipe, recipe.resize)
        yield from _sizes(recipe, recipe.resize)
    for rounding in ("half_even", "floor", "ceil") if recipe.crop else ():
        changed = replace(recipe, crop_rounding=rounding)
        part = "rounding of the crop's place"
        yield Mistake(part, recipe.crop_rounding, rounding, changed, "crop-place")


def file_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Another decoding of the file, or another Pillow."""
    part = "EXIF orientation"
    if recipe.decoder == "opencv":
        changes = (Change("orientation ignored", file=lambda data, _: _encoded(_opened(data))),)
        yield Mistake(part, "applied", "ignored", recipe, "exif-orientation", changes)
    else:
        changes = (Change("orientation applied", file=_upright),)
        yield Mistake(part, "ignored", "applied", recipe, "exif-orientation", changes)
    if recipe.resize:
        for gap in (1, 2):
            found = f"scaled decoding to {gap} times the size"
            changes = (Change(found, file=partial(_draft, gap=gap)),)
            yield Mistake("JPEG decoding", "full size", found, recipe, "decoding-draft", changes)
    for quality in _QUALITIES:
        yield recompression(recipe, quality)
    for count in _PALETTES:
        found = f"a palette of {count} colours"
        changes = (Change(found, file=partial(_palette, count=count)),)
        yield Mistake("file", "all colours", found, recipe, "few-bits", changes)
    if recipe.resizer == "pillow" and recipe.resize:
        yield Mistake(
            "order of Pillow's two passes",
            "this Pillow's",
            "another Pillow version's (it changed in 13)",
            recipe,
            changes=(Change("other order", file=_resized_in_other_order),),
        )


def recompression(recipe: Recipe, quality: int) -> Mistake:
    """The file compressed again as a JPEG, before anything else."""
    found = f"compressed again with quality {quality}"
    changes = (Change(found, file=partial(_recompressed, quality=quality)),)
    return Mistake("file", "the original", found, recipe, "recompression", changes)


def rolled(recipe: Recipe, down: int, right: int) -> Mistake:
    """The pixels after the crop moved, and what leaves one side comes in at the other."""
    found = f"rolled by {down:+d} rows and {right:+d} columns"
    change = Change(found, pixels=partial(np.roll, shift=(down, right), axis=(0, 1)))
    return Mistake("image", "as it is", found, recipe, "rolled", (change,))


def pixel_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """The pixels after resize and crop changed, or taken from another place."""

    def mistake(part: str, asked: str, found: str, fault: str, pixels: Any) -> Mistake:
        return Mistake(part, asked, found, recipe, fault, (Change(found, pixels=pixels),))

    yield mistake("image", "as it is", "mirrored", "mirrored", lambda p: p[:, ::-1])
    yield mistake("image", "as it is", "upside down", "upside-down", lambda p: p[::-1])
    yield mistake("image", "as it is", "turned by 180 degrees", "rotated", lambda p: p[::-1, ::-1])
    if recipe.size[0] == recipe.size[1]:
        for turns in (1, 3):
            found = f"turned by {90 * turns} degrees"
            yield mistake("image", "as it is", found, "rotated", partial(np.rot90, k=turns))
        swapped = "height and width swapped"
        yield mistake("image", "as it is", swapped, "rotated", lambda p: p.transpose(1, 0, 2))
        both = "height and width swapped, and turned by 180 degrees"
        turned = partial(np.transpose, axes=(1, 0, 2))
        yield mistake("image", "as it is", both, "rotated", lambda p: turned(p[::-1, ::-1]))
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        yield rolled(recipe, down, right)
    width = recipe.size[1]
    for stride in sorted({width + 1, width - 1} | {-(-width // n) * n for n in _ALIGNED}):
        if stride > width:
            yield padded_rows(recipe, stride)
        if stride != width:
            found = f"rows of {width} pixels read as rows of {stride}"
            change = Change(found, pixels=partial(_strided, stride=stride))
            yield Mistake("rows", "as written", found, recipe, "row-stride", (change,))


def padded_rows(recipe: Recipe, stride: int) -> Mistake:
    """The pixels after the crop in longer rows, which are read as if they were not longer."""
    found = f"rows of {stride} pixels, filled up with zeros, read as rows of {recipe.size[1]}"
    change = Change(found, pixels=partial(_padded, stride=stride))
    return Mistake("rows", "as written", found, recipe, "row-stride", (change,))


def _padded(pixels: Levels, stride: int) -> Levels:
    """Rows with zeros behind, read without regard to these."""
    height, width, channels = pixels.shape
    rows = np.zeros((height, stride, channels), pixels.dtype)
    rows[:, :width] = pixels
    return rows.reshape(-1, channels)[: height * width].reshape(pixels.shape)


def _strided(pixels: Levels, stride: int) -> Levels:
    """Rows that begin every ``stride`` pixels of a buffer where they stand one behind the other;
    zeros behind its end.
    """
    height, width, channels = pixels.shape
    buffer = np.zeros((height * max(stride, width) + width, channels), pixels.dtype)
    buffer[: height * width] = pixels.reshape(-1, channels)
    return np.stack([buffer[y * stride : y * stride + width] for y in range(height)])


def place_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """The crop at a corner, or a few pixels off the centre."""
    for words, down, right in (
        ("top left", 0, 0),
        ("top right", 0, 1),
        ("bottom left", 1, 0),
        ("bottom right", 1, 1),
    ):
        yield _placed(
            recipe, f"the corner at the {words}", partial(_corner, down=down, right=right)
        )
    for off in range(1, _MOST_PIXELS_OFF + 1):
        for down, right in ((a, b) for a in (0, -1, 1) for b in (0, -1, 1) if a or b):
            yield off_centre(recipe, down * off, right * off)


def off_centre(recipe: Recipe, down: int, right: int) -> Mistake:
    """The crop so many pixels off its place."""
    found = f"{down:+d} pixels down and {right:+d} to the right of it"
    return _placed(recipe, found, partial(_beside, down=down, right=right))


def _corner(_: Places, margin: Places, down: int, right: int) -> Places:
    return down * margin[0], right * margin[1]


def _beside(centre: Places, _: Places, down: int, right: int) -> Places:
    return centre[0] + down, centre[1] + right


def _placed(recipe: Recipe, found: str, place: Callable[[Places, Places], Places]) -> Mistake:
    change = Change(found, place=place)
    return Mistake("place of the crop", "the centre", found, recipe, "crop-place", (change,))


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
    for size in sorted(before_crop):
        yield before_the_crop(recipe, size)
    whole = resized(rule="exact", size=(height, width), **_PLAIN)
    no_crop = f"resize to {height} x {width}, no crop"
    yield Mistake("crop", "resize, then centre crop", no_crop, whole, fault)
    inside = resized(rule="contain", size=(height, width), **_PLAIN)
    padded = f"resize to fit into {height} x {width}, padded"
    yield Mistake("crop", "resize, then centre crop", padded, inside, fault)


def _opened(data: bytes) -> Image.Image:
    return to_rgb(open_image(data))


def _upright(data: bytes, _: Recipe) -> bytes:
    """The image turned as its EXIF orientation says, losslessly encoded."""
    return _encoded(ImageOps.exif_transpose(_opened(data)))


def _draft(data: bytes, recipe: Recipe, gap: int) -> bytes:
    """A JPEG decoded at 1/2, 1/4 or 1/8 of its size, the least that is still ``gap`` times as large
    as the resized image.
    """
    image = open_image(data)
    assert recipe.resize is not None
    height, width = resized_size(recipe.resize, image.height, image.width)
    # draft() halves only down to a whole multiple of what is asked for.
    image.draft("RGB", (gap * width, gap * height))
    return _encoded(to_rgb(image))


def _recompressed(data: bytes, _: Recipe, quality: int) -> bytes:
    buffer = io.BytesIO()
    _opened(data).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _palette(data: bytes, _: Recipe, count: int) -> bytes:
    return _encoded(_opened(data).quantize(count).convert("RGB"))


def _resized_in_other_order(data: bytes, recipe: Recipe) -> bytes:
    """The resized image, for sizes that Pillow 13 treats vertically first: in the order that the
    installed Pillow does not take.
    """
    image = _opened(data)
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


def before_the_crop(recipe: Recipe, size: int, squashed: bool = False) -> Mistake:
    """The shorter side, or both sides, brought to another size before the crop."""
    assert recipe.resize is not None
    rule, sides = ("exact", (size, size)) if squashed else ("shorter", (size,))
    resize = replace(recipe.resize, rule=rule, size=sides, **_PLAIN)
    changed = replace(recipe, resize=resize, crop=recipe.size)
    asked = " x ".join(map(str, recipe.resize.size))
    found = f"{size} x {size}, squashed" if squashed else str(size)
    return Mistake("size before the crop", asked, found, changed, "resize-crop")


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()
