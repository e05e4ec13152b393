"""Cards of timm models, with the recipe that timm's own ``resolve_data_config`` gives."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import math
from collections.abc import Mapping
from typing import Any

from portproof.card import Card
from portproof.core.errors import InputError, MissingPackageError
from portproof.preprocess.cards.resolve import image_card
from portproof.recipe import Recipe, Resize


def card_of(name: str) -> Card:
    """The card of a timm model ``NAME`` or ``NAME.TAG``; without a tag, of timm's default tag,
    which the card's builder then names.
    """
    try:
        from timm import list_models
        from timm.models import get_pretrained_cfg, is_model
    except ImportError as error:
        raise MissingPackageError("timm", f"the card 'timm:{name}'", "models") from error
    if not is_model(name.partition(".")[0]):
        near = difflib.get_close_matches(name.partition(".")[0], list_models(), n=3)
        raise InputError(
            f"timm has no model '{name}'"
            + (f"; near it are {', '.join(near)}" if near else "; see timm.list_models()")
        )
    try:
        config = get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        tags = list_models(f"{name.partition('.')[0]}.*", pretrained=True)
        raise InputError(f"timm has no tag '{name}'; there are {', '.join(tags)}") from error
    if config is None:  # an architecture without published weights: timm's own defaults
        return image_card(name, f"timm:{name}", recipe_of_config({}, f"timm:{name}"), None)
    full_name = f"{name.partition('.')[0]}.{config.tag}" if config.tag else name
    return image_card(
        name,
        f"timm:{full_name}",
        recipe_of_config(dataclasses.asdict(config), f"timm:{name}"),
        config.num_classes,
    )


def recipe_of_config(pretrained_cfg: Mapping[str, Any], what: str) -> Recipe:
    """The recipe of a timm ``pretrained_cfg``, resolved by timm itself."""
    data: Any = importlib.import_module("timm.data")
    # An empty configuration is refused by timm's assertion; naming the size it would take anyway is
    # not.
    config = data.resolve_data_config(
        pretrained_cfg=dict(pretrained_cfg) or {"input_size": (3, 224, 224)}
    )
    return recipe_of_data_config(config, what)


def recipe_of_data_config(config: Mapping[str, Any], what: str) -> Recipe:
    """The recipe that does what ``timm.data.create_transform(**config, is_training=False)`` does
    (timm/data/transforms_factory.py).
    """
    channels, height, width = config["input_size"]
    if channels != 3 or len(config["mean"]) != 3:
        raise InputError(
            f"{what}: a model of {channels} input channels is not an RGB image model; recipes are"
            " for three channels"
        )
    scaled = tuple(math.floor(side / config["crop_pct"]) for side in (height, width))
    interpolation = config["interpolation"]
    fill = (0, 0, 0)
    if config["crop_mode"] == "squash":
        resize = Resize(rule="exact", size=scaled, interpolation=interpolation)
    elif config["crop_mode"] == "border":
        resize = Resize(rule="contain", size=scaled, interpolation=interpolation)
        red, green, blue = (round(255 * value) for value in config["mean"])
        fill = (red, green, blue)
    elif scaled[0] == scaled[1]:
        resize = Resize(rule="shorter", size=scaled[:1], interpolation=interpolation)
    else:
        resize = Resize(rule="cover", size=scaled, interpolation=interpolation)
    return Recipe(
        resize=resize,
        crop=(height, width),
        fill=fill,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )
