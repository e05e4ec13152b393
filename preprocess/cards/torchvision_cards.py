"""Cards of torchvision classifiers, with the preset of their weights."""

from __future__ import annotations

import difflib

from portproof.card import Card
from portproof.core.errors import InputError, MissingPackageError
from portproof.preprocess.cards.resolve import image_card
from portproof.recipe import Recipe, Resize


def card_of(name: str) -> Card:
    """The card of a torchvision model ``NAME`` (``DEFAULT`` weights) or ``NAME.WEIGHTS``."""
    try:
        from torchvision import models
        from torchvision.transforms._presets import ImageClassification
    except ImportError as error:
        raise MissingPackageError(
            "torchvision", f"the card 'torchvision:{name}'", "models"
        ) from error
    model, _, tag = name.partition(".")
    known = models.list_models(module=models)
    if model not in known:
        near = difflib.get_close_matches(model, known, n=3)
        raise InputError(
            f"torchvision has no classifier '{model}'"
            + (f"; near it are {', '.join(near)}" if near else "; see torchvision.models")
        )
    choices = models.get_model_weights(model)
    if tag and tag not in choices.__members__:
        raise InputError(
            f"torchvision's {model} has no weights '{tag}'; there are"
            f" {', '.join(choices.__members__)}"
        )
    weights = choices[tag] if tag else choices.DEFAULT
    preset = weights.transforms()
    if not isinstance(preset, ImageClassification):
        raise InputError(
            f"torchvision:{name}: its preset {type(preset).__name__} is not one for image"
            " classification"
        )
    recipe = Recipe(
        resize=Resize(size=tuple(preset.resize_size), interpolation=preset.interpolation.value),
        crop=(preset.crop_size[0], preset.crop_size[-1]),
        mean=tuple(preset.mean),
        std=tuple(preset.std),
    )
    return image_card(model, f"torchvision:{name}", recipe, len(weights.meta["categories"]))
