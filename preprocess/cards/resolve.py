"""The model card of what a user may give as CARD.

CARD is a model card's name or path, or ``SOURCE:NAME`` where ``<source>_cards.py`` beside this file
makes a card from the source's own data (``timm:NAME``, ``torchvision:NAME``), or
``FILE.py:CALLABLE``. A new source is a new file. ``,OPTION=VALUE`` after a builder's name is a
keyword argument of it, as ``options`` of a card are
(``torchvision:inception_v3,transform_input=true``).
"""

from __future__ import annotations

import importlib
import importlib.util
import re

import msgspec

from portproof.card import Card, Input, Output, find_card, read_card
from portproof.core.errors import InputError
from portproof.recipe import Recipe


def resolve_card(text: str) -> Card:
    """The card that ``text`` names; :class:`InputError` lists what there is if there is none."""
    named, *settings = re.split(r"(?<=\w),(?=[A-Za-z_]\w*=)", text)
    if ":" not in named or not settings:
        return _card_of(text)
    card = _card_of(named)
    options = dict(setting.split("=", 1) for setting in settings)
    return msgspec.structs.replace(
        card, options={name: _value(word) for name, word in options.items()}
    )


def _value(word: str) -> bool | int | float | str:
    """The value of an option as YAML would read it in a card: true, 3, 0.5 or text."""
    try:
        return msgspec.json.decode(word.lower(), type=bool | int | float)
    except msgspec.DecodeError:
        return word


def _card_of(text: str) -> Card:
    source, _, name = text.partition(":")
    if source.endswith(".py") and name:
        return importlib.import_module("portproof.preprocess.cards.user_file").card_of(text)  # type: ignore[no-any-return]
    if name and source.isidentifier():
        module = f"portproof.preprocess.cards.{source}_cards"
        if importlib.util.find_spec(module) is None:
            raise InputError(
                f"'{text}': a card from '{source}' is not known; give a card's name or path,"
                " timm:NAME, torchvision:NAME or FILE.py:CALLABLE"
            )
        return importlib.import_module(module).card_of(name)  # type: ignore[no-any-return]
    return read_card(find_card(text))


def image_card(name: str, builder: str, recipe: Recipe, classes: int | None) -> Card:
    """A card of a classifier with one image input ``image`` and one output ``class``, from what its
    builder says about itself.
    """
    image = Input(name="image", shape=recipe.shape, dtype=recipe.dtype, layout=recipe.layout)
    output = Output(name="class", shape=(classes,) if classes else None)
    return Card(name=name, builder=builder, inputs=(image,), outputs=(output,), recipe=recipe)
