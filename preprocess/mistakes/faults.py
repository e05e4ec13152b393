"""The usual mistakes of preprocessing, each as the recipe that makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from portproof.recipe import INTERPOLATIONS, Recipe, Resize, describe

_Changes = dict[str, Any]
_NO_NORMALISATION: _Changes = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
#: Constants that circulate: ImageNet's, and Inception's.
_CONSTANTS = {
    "ImageNet's mean and std": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "mean and std of 0.5": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
#: Fractions of the resized image that the crop keeps, as model cards have them.
_CROP_RATIOS = (0.875, 0.9, 0.95, 1.0)


@dataclass(frozen=True)
class WrongRecipe:
    """A recipe that makes a mistake: the fault's name, and how the mistake reads in a sentence.
    ``as_nhwc``: the values of a sample are laid out as height, width, channel and handed over as if
    they were in the order that the model takes.
    """

    fault: str
    recipe: Recipe
    mistake: str
    as_nhwc: bool = False

    def fix(self, right: Recipe) -> str:
        """What to do about it."""
        return f"preprocess with the card's recipe ({describe(right)})"


def wrong_recipes(right: Recipe) -> list[WrongRecipe]:
    """Every mistake that can be made of a recipe, without those that change nothing."""
    seen = {_without_name(right)}
    found = []
    for fault, mistake, changes in _changes(right):
        try:
            recipe = msgspec.structs.replace(right, **changes)
        except ValueError:
            continue  # raw pixels cannot be normalised wrongly
        if _without_name(recipe) not in seen:
            seen.add(_without_name(recipe))
            found.append(WrongRecipe(fault, recipe, mistake))
    if right.layout == "NCHW":
        found.append(
            WrongRecipe(
                "layout", right, "the samples are NHWC where the model takes NCHW", as_nhwc=True
            )
        )
    return found


def _without_name(recipe: Recipe) -> Recipe:
    return msgspec.structs.replace(recipe, name="")


def _changes(right: Recipe) -> Iterator[tuple[str, str, _Changes]]:
    """(fault, mistake in words, what is different)."""
    other = "BGR" if right.channels == "RGB" else "RGB"
    flipped: _Changes = {"channels": other, "mean": right.mean[::-1], "std": right.std[::-1]}
    yield (
        "channel-order",
        f"the channels are {other}, with mean and std in the order of {right.channels}",
        {"channels": other},
    )
    yield "channel-order", f"the channels are {other}, with mean and std in that order too", flipped
    yield "normalisation-missing", "mean and std are not applied", _NO_NORMALISATION
    yield (
        "normalisation-missing",
        "the pixels are raw: neither divided nor normalised",
        {"divide": 1.0, **_NO_NORMALISATION},
    )
    yield (
        "scaling-missing",
        f"the pixels are not divided by {right.divide:g} before mean and std",
        {"divide": 1.0},
    )
    yield (
        "scaling-twice",
        f"the pixels are divided by {right.divide:g} twice",
        {"divide": right.divide**2},
    )
    twice: _Changes = {
        "mean": tuple(m + m * s for m, s in zip(right.mean, right.std, strict=True)),
        "std": tuple(s * s for s in right.std),
    }
    yield "normalisation-twice", "mean and std are applied twice", twice
    for name, (mean, std) in _CONSTANTS.items():
        yield "normalisation-constants", f"{name} are applied", {"mean": mean, "std": std}
    if right.resize is not None:
        yield from _geometry(right, right.resize)


def _geometry(right: Recipe, resize: Resize) -> Iterator[tuple[str, str, _Changes]]:
    for resizer in INTERPOLATIONS:
        for name in ("nearest", "bilinear", "bicubic", "lanczos"):
            changed = msgspec.structs.replace(resize, interpolation=name)
            yield (
                "interpolation",
                f"{resizer} resizes with {name} interpolation",
                {"resizer": resizer, "resize": changed},
            )
    height, width = right.size
    squashed = msgspec.structs.replace(
        resize, rule="exact", size=(height, width), rounding="truncate"
    )
    yield (
        "resize-crop",
        "the image is squashed to the model's size, with no crop",
        {"resize": squashed, "crop": None},
    )
    for ratio in _CROP_RATIOS:
        shorter = int(min(height, width) / ratio)
        changed = msgspec.structs.replace(resize, rule="shorter", size=(shorter,))
        mistake = f"the shorter side is resized to {shorter}, then {height} x {width} is cropped"
        yield "resize-crop", mistake, {"resize": changed, "crop": (height, width)}
