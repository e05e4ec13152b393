"""Cards of a user's own model file: ``FILE.py:CALLABLE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portproof.card import Card
from portproof.core import progress
from portproof.core.usercode import load_callable, own_folder, source_of
from portproof.preprocess.cards.resolve import image_card
from portproof.recipe import Recipe, Resize, describe

#: What a model without a data configuration of its own gets: torchvision's evaluation preset for
#: ImageNet.
IMAGENET = Recipe(name="imagenet", resize=Resize(size=(256,)), crop=(224, 224))


def card_of(text: str) -> Card:
    """The card of ``FILE.py:CALLABLE``: its recipe is that of a timm-style ``pretrained_cfg`` of
    the callable or the file, else ImageNet's default, with a message.
    """
    source, attribute = source_of(text)
    with own_folder(source):
        function, module = load_callable(source, attribute)
    config: Any = getattr(function, "pretrained_cfg", None) or getattr(
        module, "pretrained_cfg", None
    )
    name = Path(text.rpartition(":")[0]).stem
    if config is None:
        progress.say(
            f"{text} has no 'pretrained_cfg': taking the ImageNet default ({describe(IMAGENET)})"
        )
        return image_card(name, text, IMAGENET, None)
    from portproof.preprocess.cards.timm_cards import recipe_of_config

    values = dict(config) if not hasattr(config, "to_dict") else config.to_dict()
    return image_card(name, text, recipe_of_config(values, text), values.get("num_classes"))
