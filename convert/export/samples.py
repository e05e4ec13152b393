"""What a numerical check feeds: samples that differ from each other, and probes that differ from
the sample that was traced in scale, sign and content.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from portproof.card import Card, Input
from portproof.recipe import Recipe

Array = npt.NDArray[Any]
Feeds = dict[str, Array]

#: What is done to float inputs. A branch on a mean, a sign, a largest value or a spread that was
#: frozen by tracing answers otherwise on at least one of them.
FLOAT_PROBES: dict[str, tuple[float, float]] = {
    "10 times as large": (10.0, 0.0),
    "a tenth as large": (0.1, 0.0),
    "of the other sign": (-1.0, 0.0),
    "moved up by 2.5": (1.0, 2.5),
    "moved down by 2.5": (1.0, -2.5),
    "all zeros": (0.0, 0.0),
    "all ones": (0.0, 1.0),
}
#: The same for raw pixels of 0 to 255.
PIXEL_PROBES: dict[str, tuple[float, float]] = {
    "a tenth as bright": (0.1, 0.0),
    "inverted": (-1.0, 255.0),
    "brighter by 100": (1.0, 100.0),
    "all black": (0.0, 0.0),
    "all white": (0.0, 255.0),
}
#: Exclusive upper ends of whole-number probes: the largest that the model accepts is used.
RANGES = (20_000, 1000, 100, 20, 5)


def sample_inputs(card: Card, count: int, seed: int = 0) -> Feeds:
    """Seeded samples for every input, all different: smooth random pictures normalised by the
    recipe for an image, zeros and ones for whole numbers (valid as token ids, masks and segments
    alike), normal random values for anything else.
    """
    rng = np.random.default_rng(seed)
    recipe = card.preprocessing if card.recipe else None
    return {
        spec.name: _samples(
            spec, recipe if recipe and _is_image(spec, recipe) else None, count, rng
        )
        for spec in card.inputs
    }


def sample_pixels(card: Card, count: int, seed: int = 0) -> Feeds:
    """The same pictures as :func:`sample_inputs` makes, as raw uint8 pixels in the recipe's layout,
    for a model that normalises.
    """
    rng = np.random.default_rng(seed)
    recipe, spec = card.preprocessing, card.inputs[0]
    pictures = _pictures((count, *recipe.size), rng)
    return {
        spec.name: np.ascontiguousarray(
            pictures if recipe.layout == "NHWC" else pictures.transpose(0, 3, 1, 2)
        )
    }


def float_probes(feeds: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Every probe of the float inputs of a batch, as (what it is, feeds); none without any."""
    kinds = {name: values.dtype.kind for name, values in feeds.items()}
    for label, (factor, offset) in FLOAT_PROBES.items() if "f" in kinds.values() else ():
        yield (
            label,
            {
                name: (values * factor + offset).astype(values.dtype)
                if kinds[name] == "f"
                else values
                for name, values in feeds.items()
            },
        )


def pixel_probes(pixels: Feeds) -> Iterator[tuple[str, Feeds]]:
    """Every probe of raw uint8 pixels, as (what it is, pixels)."""
    for label, (factor, offset) in PIXEL_PROBES.items():
        yield (
            label,
            {
                name: np.clip(values * factor + offset, 0, 255).astype(np.uint8)
                for name, values in pixels.items()
            },
        )


def whole_number_probes(feeds: Feeds, upper: int, seed: int = 2) -> Feeds:
    """The batch with its whole numbers drawn from 0 to ``upper`` (exclusive, cut to the type)."""
    rng = np.random.default_rng(seed)
    return {
        name: rng.integers(
            0, min(upper, int(np.iinfo(values.dtype).max)), values.shape, dtype=np.int64
        ).astype(values.dtype)
        if values.dtype.kind in "iu"
        else values
        for name, values in feeds.items()
    }


def normalised(pixels: Feeds, card: Card) -> Feeds:
    """Raw pixels as the card's recipe normalises them."""
    recipe = card.preprocessing
    shape = (3, 1, 1) if recipe.layout == "NCHW" else (3,)
    mean, std = (np.asarray(v, dtype=np.float32).reshape(shape) for v in (recipe.mean, recipe.std))
    return {
        spec.name: ((pixels[spec.name] / np.float32(recipe.divide) - mean) / std).astype(spec.dtype)
        for spec in card.inputs
    }


def _is_image(spec: Input, recipe: Recipe) -> bool:
    return tuple(spec.shape) == recipe.shape and np.dtype(spec.dtype).kind == "f"


def _samples(spec: Input, recipe: Recipe | None, count: int, rng: np.random.Generator) -> Array:
    dtype = np.dtype(spec.dtype)
    if recipe is not None:
        mean, std = (
            np.asarray(recipe.mean, dtype=np.float32),
            np.asarray(recipe.std, dtype=np.float32),
        )
        values = (_pictures((count, *recipe.size), rng) / np.float32(recipe.divide) - mean) / std
        return np.ascontiguousarray(
            values if recipe.layout == "NHWC" else values.transpose(0, 3, 1, 2)
        ).astype(dtype)
    shape = (count, *spec.shape)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 256 if dtype == np.uint8 else 2, shape).astype(dtype)


def _pictures(shape: tuple[int, int, int], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """(N, H, W, 3) uint8: a few waves of random direction, phase and colour over a random ground,
    with noise, as photographs have large shapes and fine texture; white noise alone drives many
    networks to one answer.
    """
    count, height, width = shape
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(-6, 6, (count, 4, 2))
    phase = (
        2
        * np.pi
        * (
            waves[..., 0, None, None] * y
            + waves[..., 1, None, None] * x
            + rng.random((count, 4, 1, 1))
        )
    )
    colours = rng.uniform(-50, 50, (count, 4, 3))
    value = np.einsum("nkhw,nkc->nhwc", np.sin(phase), colours) + rng.uniform(
        60, 195, (count, 1, 1, 3)
    )
    pictures: npt.NDArray[np.uint8] = np.clip(
        value + rng.normal(0, 12, value.shape), 0, 255
    ).astype(np.uint8)
    return pictures
