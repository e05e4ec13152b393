"""Mistakes of colours and levels: channels, colour spaces, few levels, curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np
from PIL import Image

from portproof.preprocess.mistakes.mistake import Change, Levels, Mistake
from portproof.recipe import Recipe

_NEAREST, _BILINEAR = Image.Resampling.NEAREST, Image.Resampling.BILINEAR
_GAMMAS = (2.2, 1 / 2.2)
#: Whole numbers that bytes are multiplied by.
_FACTORS = (2, 3, 4)
#: Luma's share of red and of blue: ITU-R BT.601, which JPEG has, and BT.709.
_601, _709 = (0.299, 0.114), (0.2126, 0.0722)
#: Bits of the red, green and blue of formats for displays.
_DISPLAY = {"RGB565": (5, 6, 5), "RGB555": (5, 5, 5), "RGB332": (3, 3, 2), "RGB444": (4, 4, 4)}


def colour_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """The colours of the pixels after resize and crop changed."""

    def mistake(part: str, asked: str, found: str, fault: str, pixels: Any) -> Mistake:
        return Mistake(part, asked, found, recipe, fault, (Change(found, pixels=pixels),))

    yield mistake("colours", "as they are", "grey", "grey", _grey)
    yield mistake("levels", "0 to 255", "16 to 235 (video)", "video-range", _to_video)
    yield mistake("levels", "0 to 255", "16 to 235 taken for all", "video-range", _from_video)
    yield mistake("levels", "as they are", "inverted", "inverted", lambda p: 255.0 - p)
    signed = "bytes read with a sign"
    yield mistake("levels", "0 to 255", signed, "signed-bytes", _signed)
    for factor in _FACTORS:
        yield overflow(recipe, factor)
    yield overflow(recipe, shift=128)
    for order in permutations(range(3)):
        if order not in ((0, 1, 2), (2, 1, 0)):
            found = "".join("RGB"[i] for i in order)
            change = partial(_taken, order=order)
            yield mistake("channel order", "RGB", found, "channel-order", change)
    for i, name in enumerate(("red", "green", "blue")):
        found = f"the {name} channel thrice"
        yield mistake("channels", "three", found, "grey", partial(_taken, order=(i, i, i)))
        found = f"zeros for {name}"
        yield mistake("channels", "three", found, "channel-lost", partial(_lost, channel=i))
    for gamma in _GAMMAS:
        yield gamma_mistake(recipe, gamma)
    for found, source, to in (
        ("YCbCr taken for RGB", "RGB", "YCbCr"),
        ("RGB taken for YCbCr", "YCbCr", "RGB"),
        ("HSV taken for RGB", "RGB", "HSV"),
        ("LAB taken for RGB", "RGB", "LAB"),
    ):
        change = partial(_converted, source=source, to=to)
        yield mistake("colours", "RGB", found, "colour-space", change)
    exchanged = "U and V exchanged (NV21 for NV12)"
    yield mistake("colours", "YUV as it is", exchanged, "colour-space", _exchanged)
    for found, coded, read in (
        ("BT.601 read as BT.709", _601, _709),
        ("BT.709 read as BT.601", _709, _601),
    ):
        change = partial(_recoded, coded=coded, read=read)
        yield mistake("colours", "one matrix of YUV", found, "colour-space", change)
    for of, taken in (("their mean", _mean_of_four), ("the first of them", _first_of_four)):
        for way, filter_ in (("repeated", _NEAREST), ("interpolated", _BILINEAR)):
            found = f"U and V of four pixels (4:2:0): {of}, {way}"
            change = partial(_subsampled, taken=taken, filter_=filter_)
            yield mistake("colours", "of every pixel", found, "chroma-subsampling", change)
    for found, bits in _few_bits():
        yield mistake("levels", "8 bits", found, "few-bits", bits)
    for side in (2, 3, 4):
        found = f"reduced by {side} and enlarged again"
        yield mistake("image", "as it is", found, "blurred", partial(_reduced, by=side))


def gamma_mistake(recipe: Recipe, gamma: float) -> Mistake:
    """Levels bent by a power."""
    found = f"levels to the power of {gamma:.3g}"
    change = Change(found, pixels=lambda p: 255 * (np.maximum(p, 0.0) / 255) ** gamma)
    return Mistake("levels", "as they are", found, recipe, "gamma", (change,))


def overflow(recipe: Recipe, factor: float = 1, shift: int = 0) -> Mistake:
    """Bytes times a factor plus a shift, of which the last eight bits stay."""
    parts = [f" times {factor:g}"] if factor != 1 else []
    parts += [f" plus {shift}"] if shift else []
    found = f"bytes{''.join(parts)} that wrap round"
    change = Change(found, pixels=partial(_wrapped, factor=factor, shift=shift))
    return Mistake("levels", "0 to 255", found, recipe, "overflow", (change,))


def _wrapped(pixels: Levels, factor: float, shift: int) -> Levels:
    made = np.trunc(_whole(pixels) * float(factor)).astype(np.int64) + shift
    return np.asarray((made % 256).astype(np.uint8))


def _signed(pixels: Levels) -> Levels:
    return np.asarray(_whole(pixels).astype(np.int8), np.int16)


def _taken(pixels: Levels, order: tuple[int, ...]) -> Levels:
    return pixels[..., list(order)]


def _lost(pixels: Levels, channel: int) -> Levels:
    changed = np.array(pixels)
    changed[..., channel] = 0
    return changed


def _whole(pixels: Levels) -> Levels:
    """Bytes. Another change may have made the levels fractions."""
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _converted(pixels: Levels, source: str, to: str) -> Levels:
    image = Image.fromarray(_whole(pixels))
    if source != "RGB":
        image = Image.frombytes(source, image.size, image.tobytes())
    return np.frombuffer(image.convert(to).tobytes(), np.uint8).reshape(pixels.shape)


def _exchanged(pixels: Levels) -> Levels:
    """Blue and red differences exchanged."""
    luma, blue, red = Image.fromarray(_whole(pixels)).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luma, red, blue)).convert("RGB"))


def _recoded(pixels: Levels, coded: tuple[float, float], read: tuple[float, float]) -> Levels:
    """Full-range YUV made with one matrix and read with another: red and blue are luma plus a
    multiple of their difference from it, green is what is left of luma.
    """
    red, green, blue = np.moveaxis(_whole(pixels).astype(np.float64), -1, 0)
    luma = coded[0] * red + (1 - sum(coded)) * green + coded[1] * blue
    made = [
        luma + (1 - r) / (1 - c) * (channel - luma)
        for channel, c, r in zip((red, blue), coded, read, strict=True)
    ]
    rest = (luma - read[0] * made[0] - read[1] * made[1]) / (1 - sum(read))
    return _whole(np.stack([made[0], rest, made[1]], axis=-1))


def _mean_of_four(plane: Image.Image) -> Image.Image:
    half = (plane.width + 1) // 2, (plane.height + 1) // 2
    return plane.resize(half, Image.Resampling.BOX)


def _first_of_four(plane: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(plane)[::2, ::2])


def _subsampled(
    pixels: Levels,
    taken: Callable[[Image.Image], Image.Image],
    filter_: Image.Resampling,
) -> Levels:
    luma, *differences = Image.fromarray(_whole(pixels)).convert("YCbCr").split()
    large = [taken(d).resize(luma.size, filter_) for d in differences]
    return np.asarray(Image.merge("YCbCr", (luma, *large)).convert("RGB"))


def _reduced(pixels: Levels, by: int) -> Levels:
    image = Image.fromarray(_whole(pixels))
    size = max(1, image.width // by), max(1, image.height // by)
    small = image.resize(size, Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, _BILINEAR))


def _few_bits() -> Iterator[tuple[str, Callable[[Levels], Levels]]]:
    for bits in range(1, 8):
        yield f"{bits} bits, cut", partial(_cut, bits=(bits,) * 3)
        yield f"{bits} bits, cut, in the middle of the step", partial(_middle, bits=bits)
        yield f"{bits} bits, rounded", partial(_coarse, top=2**bits - 1)
    for name, shape in _DISPLAY.items():
        yield f"{', '.join(map(str, shape))} bits ({name})", partial(_cut, bits=shape)
        yield f"{name}, its bits repeated", partial(_repeated, bits=shape)


def _cut(pixels: Levels, bits: tuple[int, ...]) -> Levels:
    step = np.array([2 ** (8 - b) for b in bits])
    return np.asarray(_whole(pixels) // step * step)


def _middle(pixels: Levels, bits: int) -> Levels:
    step = 2 ** (8 - bits)
    return np.asarray(_whole(pixels) // step * step + step // 2)


def _repeated(pixels: Levels, bits: tuple[int, ...]) -> Levels:
    tops = np.array([2**b - 1 for b in bits])
    steps = np.array([2 ** (8 - b) for b in bits])
    return np.asarray(np.rint(_whole(pixels) // steps * (255 / tops)))


def _coarse(pixels: Levels, top: int) -> Levels:
    return np.asarray(np.rint(np.rint(pixels / 255 * top) / top * 255).astype(np.uint8))


def _to_video(pixels: Levels) -> Levels:
    return np.rint(pixels * (219 / 255) + 16).astype(np.uint8)


def _from_video(pixels: Levels) -> Levels:
    return np.clip(np.rint((pixels - 16.0) * (255 / 219)), 0, 255).astype(np.uint8)


def _grey(pixels: Levels) -> Levels:
    """ITU-R BT.601, as Pillow's mode L."""
    return np.asarray(Image.fromarray(_whole(pixels)).convert("L").convert("RGB"))
