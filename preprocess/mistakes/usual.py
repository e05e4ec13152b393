"""The usual mistakes of preprocessing: a recipe with one part changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import numpy as np
from msgspec.structs import replace

from portproof.preprocess.mistakes.colours import colour_mistakes
from portproof.preprocess.mistakes.mistake import Change, Levels, Mistake
from portproof.preprocess.mistakes.pictures import (
    file_mistakes,
    geometry_mistakes,
    pixel_mistakes,
    place_mistakes,
)
from portproof.recipe import Recipe

Pair = tuple[float, float]
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
    "raw pixels less 128": (_CONSTANTS, 1.0, (128.0, 128.0, 128.0), (1.0, 1.0, 1.0)),
    "Caffe's": (_CONSTANTS, 1.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)),
}
_DIVISORS = (1.0, 255.0, 256.0, 127.5)


def usual_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Every mistake of a recipe, the commonest first, each effect once. Some need OpenCV."""
    right = replace(recipe, name="")
    seen: set[tuple[Recipe, tuple[Change, ...]]] = {
        (right, ()),
        (replace(right, crop=recipe.size), ()),
    }
    kinds = [_output_mistakes, _value_mistakes, geometry_mistakes, file_mistakes]
    kinds += [pixel_mistakes, colour_mistakes]
    if recipe.dtype != "uint8":  # raw pixels cannot be normalised wrongly
        kinds.append(_sample_mistakes)
    for mistake in chain.from_iterable(kind(recipe) for kind in (*kinds, place_mistakes)):
        effect = replace(mistake.recipe, name=""), mistake.changes
        if effect not in seen:
            seen.add(effect)
            yield mistake


def _output_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    asked, other = recipe.channels, "BGR" if recipe.channels == "RGB" else "RGB"
    fault = "channel-order"
    yield Mistake("channel order", asked, other, replace(recipe, channels=other), fault)
    # The same pixels, but with each mean and std on the other end's channel.
    swapped = replace(recipe, channels=other, mean=recipe.mean[::-1], std=recipe.std[::-1])
    yield Mistake("channel order, with mean and std", asked, other, swapped, fault)
    layout = "NHWC" if recipe.layout == "NCHW" else "NCHW"
    yield Mistake("layout", recipe.layout, layout, replace(recipe, layout=layout), "layout")
    for found, change in (
        ("planes read as pixels", _planes_as_pixels),
        ("pixels read as planes", _pixels_as_planes),
    ):
        changes = (Change(found, pixels=change),)
        yield Mistake("layout of the bytes", "read as written", found, recipe, "layout", changes)
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
        no_mean, no_std = not any(mean), std == (1.0, 1.0, 1.0)
        fault = "mean-missing" if no_mean else _CONSTANTS
        yield Mistake("mean", str(recipe.mean), str(mean), replace(recipe, mean=mean), fault)
        fault = "std-missing" if no_std else _CONSTANTS
        yield Mistake("std", str(recipe.std), str(std), replace(recipe, std=std), fault)
    yield from _misused_constants(recipe)


def _misused_constants(recipe: Recipe) -> Iterator[Mistake]:
    """Mean and std used otherwise: constants that have the same effect."""
    ways: tuple[tuple[str, str, str, Callable[[float, float], Pair]], ...] = (
        (
            "normalisation-twice",
            "mean and std",
            "the same, applied twice",
            lambda m, s: (m + m * s, s * s),
        ),
        ("std-multiplied", "std", "multiplied by the std", lambda m, s: (m, 1 / s)),
        ("variance-for-std", "std", "its square", lambda m, s: (m, s * s)),
        ("variance-for-std", "std", "its root", lambda m, s: (m, s**0.5)),
        ("mean-misapplied", "mean", "added, not subtracted", lambda m, s: (-m, s)),
        ("mean-misapplied", "mean", "subtracted after the division", lambda m, s: (m * s, s)),
    )
    asked = f"{recipe.mean} and {recipe.std}"
    for fault, part, found, effect in ways:
        pairs = [effect(m, s) for m, s in zip(recipe.mean, recipe.std, strict=True)]
        mean, std = zip(*pairs, strict=True)
        changed = replace(recipe, mean=mean, std=std)
        yield Mistake(part, asked, found, changed, fault)


def _sample_mistakes(recipe: Recipe) -> Iterator[Mistake]:
    """Values that no constants make."""
    none, one, half = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.5, 0.5, 0.5)
    alone = replace(recipe, divide=255.0, mean=none, std=one)
    both = replace(recipe, divide=255.0, mean=half, std=half)
    ways = (("to 0 and 1", alone), ("to -1 and 1", both), ("to 0 and 1, then mean and std", recipe))
    for axes, of in (((0, 1, 2), "each image"), ((0, 1), "each channel of each image")):
        for words, by in ways:
            found = f"the range of {of} stretched {words}"
            changes = (Change(found, pixels=partial(_stretched, axes=axes)),)
            yield Mistake("levels", "as they are", found, by, "normalisation-per-image", changes)
        found = f"mean and std of {of}"
        changes = (Change(found, pixels=partial(_standardised, axes=axes)),)
        own = replace(alone, divide=1.0)
        yield Mistake("mean and std", "the card's", found, own, "normalisation-per-image", changes)
    yield from _wrapped_means(recipe)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, np.inf), (-2.0, 2.0)):
        yield clipped(recipe, low, high)
    cut = Change("cut to whole numbers", values=np.trunc)
    yield Mistake("values", "as they are", cut.name, recipe, "values-cut", (cut,))
    divided = Change("divided as integers", pixels=lambda p: p // np.float32(recipe.divide))
    whole = replace(recipe, divide=1.0)
    yield Mistake("scale", "in floats", divided.name, whole, "scaling-integer", (divided,))


def _wrapped_means(recipe: Recipe) -> Iterator[Mistake]:
    """The mean subtracted before bytes are made floats."""
    if not any(recipe.mean):
        return
    none, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    whole = [round(m * recipe.divide) for m in recipe.mean]
    found = f"{', '.join(map(str, whole))} subtracted from bytes, which wrap round"
    of_rgb = np.array(whole if recipe.channels == "RGB" else whole[::-1])
    changes = (Change(found, pixels=lambda p: (p.astype(np.int64) - of_rgb) % 256),)
    for changed in (replace(recipe, mean=none), replace(recipe, mean=none, std=one, divide=1.0)):
        yield Mistake("mean", "subtracted in floats", found, changed, "overflow", changes)


def clipped(recipe: Recipe, low: float, high: float) -> Mistake:
    """Normalised values cut at both ends."""
    found = f"clipped to {low:.3g} and {high:.3g}"
    clip = Change(found, values=partial(np.clip, a_min=low, a_max=high))
    return Mistake("values", "as they are", found, recipe, "values-clipped", (clip,))


def constants(recipe: Recipe, mean: tuple[float, ...], std: tuple[float, ...]) -> Mistake:
    """Other constants, of the recipe's scale."""
    asked = f"{recipe.mean} and {recipe.std}"
    numbers = [f"({', '.join(f'{v:.3g}' for v in values)})" for values in (mean, std)]
    changed = replace(recipe, mean=mean, std=std)
    return Mistake("mean and std", asked, " and ".join(numbers), changed, _CONSTANTS)


def _planes_as_pixels(pixels: Levels) -> Levels:
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)).reshape(pixels.shape)


def _pixels_as_planes(pixels: Levels) -> Levels:
    height, width, channels = pixels.shape
    return np.ascontiguousarray(pixels).reshape(channels, height, width).transpose(1, 2, 0)


def _stretched(pixels: Levels, axes: tuple[int, ...]) -> Levels:
    low, high = (f(pixels, axis=axes, keepdims=True).astype(np.float32) for f in (np.min, np.max))
    return np.asarray((pixels - low) / np.maximum(high - low, 1) * np.float32(255))


def _standardised(pixels: Levels, axes: tuple[int, ...]) -> Levels:
    mean, std = (f(pixels, axis=axes, keepdims=True, dtype=np.float64) for f in (np.mean, np.std))
    return np.asarray((pixels - mean) / np.maximum(std, 1e-6), np.float32)
