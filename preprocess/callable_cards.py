"""Cards of a user's own model file: ``FILE.py:CALLABLE``."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from portproof import progress
from portproof.card import Card
from portproof.errors import InputError
from portproof.files import existing_file
from portproof.preprocess.cards import image_card
from portproof.recipe import Recipe, Resize, describe

#: What a model without a data configuration of its own gets: torchvision's evaluation preset for ImageNet.
IMAGENET = Recipe(name="imagenet", resize=Resize(size=(256,)), crop=(224, 224))


def card_of(text: str) -> Card:
    """The card of ``FILE.py:CALLABLE``: its recipe is that of a timm-style ``pretrained_cfg`` of the callable or the file, else ImageNet's
    default, which is said.
    """
    function, module = load_callable(text)
    config: Any = getattr(function, "pretrained_cfg", None) or getattr(module, "pretrained_cfg", None)
    name = Path(text.rpartition(":")[0]).stem
    if config is None:
        progress.say(f"{text} has no 'pretrained_cfg': taking the ImageNet default ({describe(IMAGENET)})")
        return image_card(name, text, IMAGENET, None)
    from portproof.preprocess.timm_cards import recipe_of_config

    values = dict(config) if not hasattr(config, "to_dict") else config.to_dict()
    return image_card(name, text, recipe_of_config(values, text), values.get("num_classes"))


def load_callable(text: str, folder: Path | None = None) -> tuple[Any, ModuleType]:
    """Run ``FILE.py`` (relative to ``folder``, else to the working directory) and find ``CALLABLE`` in it.

    The file's own folder is importable to it, before everything else. :class:`InputError` when the file or the callable is not there.
    """
    path, _, attribute = text.rpartition(":")
    file = existing_file(Path(folder or Path(), path), "model file")
    home = os.path.dirname(os.path.abspath(file))
    if home not in sys.path:
        sys.path.insert(0, home)
    # Not under its own name, which may be that of an installed package.
    spec = importlib.util.spec_from_file_location(f"portproof_model_{file.stem}", file)
    assert spec is not None and spec.loader is not None  # both are set for a path that ends in .py
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"the model file '{file}' failed when it was run: {type(error).__name__}: {error}; correct it") from error
    function = getattr(module, attribute, None)
    if not callable(function):
        raise InputError(f"'{file}' has no callable '{attribute}'; give FILE.py:CALLABLE")
    return function, module
