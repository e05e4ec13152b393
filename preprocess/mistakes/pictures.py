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
from portproof.preprocess.pixels.compiled import vertical_first
from portproof.preprocess.pixels.geometry import resized_size
from portproof.preprocess.pixels.pillow_images import RESAMPLING, open_image, to_rgb
from portproof.recipe import INTERPOLATIONS, Recipe, Resize

#: Fractions of the resized image that the crop keeps, and sizes before the crop, as model cards
#: have them.
_CROP_RATIOS = (0.8, 0.85, 0.875, 0.9, 0.95, 0.96, 0.965, 1.0)
_SIZES = (232, 235, 256)
_MOST_PIXELS_OFF = 4
#: What only the rules 'shorter' and 'letterbox' have, as the other rules have it.
_PLAIN: dict[str, Any] = {"rounding": "truncate", "upscale": True}
_QUALITIES = (50, 75, 90)


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
        found = f"compressed again with quality {quality}"
        changes = (Change(found, file=partial(_recompressed, quality=quality)),)
        yield Mistake("file", "the original", found, recipe, "recompression", changes)
    if recipe.resizer == "pillow" and recipe.resize:
        yield Mistake(
            "order of Pillow's two passes",
            "this Pillow's",
            "another Pillow version's (it changed in 13)",
            recipe,
            changes=(Change("other order", file=_resized_in_other_order),),
        )


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
    yield mistake("levels", "0 to 255", "16 to 235 (video)", "video-range", _to_video)
    yield mistake("levels", "0 to 255", "16 to 235 taken for all", "video-range", _from_video)
    yield mistake("levels", "as they are", "inverted", "inverted", lambda p: 255 - p)
    yield mistake("colours", "as they are", "grey", "grey", _grey)
    for found, bits in _few_bits():
        yield mistake("levels", "8 bits", found, "few-bits", bits)


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
            found = f"{down * off:+d} pixels down and {right * off:+d} to the right of it"
            yield _placed(recipe, found, partial(_beside, down=down * off, right=right * off))


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
    asked = " x ".join(map(str, resize.size))
    for size in sorted(before_crop):
        changed = resized(rule="shorter", size=(size,), **_PLAIN)
        yield Mistake("size before the crop", asked, str(size), changed, fault)
    whole = resized(rule="exact", size=(height, width), **_PLAIN)
    no_crop = f"resize to {height} x {width}, no crop"
    yield Mistake("crop", "resize, then centre crop", no_crop, whole, fault)
    inside = resized(rule="contain", size=(height, width), **_PLAIN)
    padded = f"resize to fit into {height} x {width}, padded"
    yield Mistake("crop", "resize, then centre crop", padded, inside, fault)


def _few_bits() -> Iterator[tuple[str, Callable[[Levels], Levels]]]:
    for bits in range(2, 7):
        yield f"{bits} bits, cut", partial(_cut, steps=(2 ** (8 - bits),) * 3)
        yield f"{bits} bits, rounded", partial(_coarse, top=2**bits - 1)
    yield "5, 6 and 5 bits (RGB565)", partial(_cut, steps=(8, 4, 8))


def _cut(pixels: Levels, steps: tuple[int, int, int]) -> Levels:
    step = np.array(steps, np.uint8)
    return np.asarray(pixels // step * step)


def _coarse(pixels: Levels, top: int) -> Levels:
    return np.asarray(np.rint(np.rint(pixels / 255 * top) / top * 255).astype(np.uint8))


def _to_video(pixels: Levels) -> Levels:
    return np.rint(pixels * (219 / 255) + 16).astype(np.uint8)


def _from_video(pixels: Levels) -> Levels:
    return np.clip(np.rint((pixels - 16.0) * (255 / 219)), 0, 255).astype(np.uint8)


def _grey(pixels: Levels) -> Levels:
    """ITU-R BT.601, as Pillow's mode L. Another change may have made the levels fractions."""
    whole = np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    return np.asarray(Image.fromarray(whole).convert("L").convert("RGB"))


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


def _encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "BMP")
    return buffer.getvalue()
