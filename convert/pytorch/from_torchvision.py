"""Classification models of torchvision, by name (``torchvision:resnet50``)."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.checkpoint import StateDict, read_state_dict, unprefixed
from portproof.convert.pytorch.models import Named, class_count, options_of
from portproof.convert.pytorch.weights import load_strictly
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import sha256_of

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("torchvision",)


def files(card: Named) -> list[Path]:
    """None: the version of the package identifies its code."""
    return []


def build(card: Card, weights: Path | None) -> nn.Module:
    """The model with the weights loaded, as torchvision itself loads them."""
    if importlib.util.find_spec("torchvision") is None:
        raise MissingPackageError("torchvision", f"the model card '{card.name}'", "models")
    from torchvision import models

    name = card.builder.removeprefix("torchvision:").partition(".")[0]  # what follows names weights
    known = models.list_models(module=models)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise InputError(
            f"torchvision has no classification model '{name}'"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    options: dict[str, Any] = {}
    classes = class_count(card)
    if classes is not None:
        options["num_classes"] = classes
    with options_of(card):
        model: nn.Module = models.get_model(name, weights=None, **(options | card.options))
    if weights is not None:
        file = unprefixed(read_state_dict(weights), model.state_dict())
        state = _renamed(model, file)
        load_strictly(model, state, weights, file, card.weights.allow_changes)
        _set_transform(model, card, name, weights)
    return model


def _set_transform(model: nn.Module, card: Card, name: str, weights: Path) -> None:
    """Inception v3 and GoogLeNet change their inputs first if the attribute ``transform_input`` is
    set, as it is for torchvision's own weights and for models fine-tuned from them. The weights do
    not say it, and the other setting gives other answers.
    """
    if not hasattr(model, "transform_input") or "transform_input" in card.options:
        return
    if not _is_published(name, weights):
        raise InputError(
            f"'{weights}' does not say whether {name} was trained with transform_input, and the"
            " answers depend on it: it is on for torchvision's own weights and for models that"
            f" began with them; give --model {card.builder},transform_input=true (or =false), or"
            " 'options: {transform_input: true}' in the model card"
        )
    # a plain attribute, which nn.Module's type hides
    setattr(model, "transform_input", True)  # noqa: B010


def _is_published(name: str, weights: Path) -> bool:
    """Whether torchvision published the file: its name ends in 8 digits of its SHA-256."""
    from torchvision import models

    urls = [entry.url for entry in models.get_model_weights(name)]
    digest = sha256_of(weights)
    return any(url.removesuffix(".pth").rpartition("-")[2] == digest[:8] for url in urls)


def _renamed(model: nn.Module, state: StateDict) -> StateDict:
    """The state dict with today's names: old DenseNet files say ``norm.1`` for ``norm1``."""
    if "densenet" not in type(model).__module__:
        return state
    old = re.compile(
        r"^(.*denselayer\d+\.(?:norm|relu|conv))"
        r"\.((?:[12])\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
    )
    return {old.sub(r"\1\2", name): tensor for name, tensor in state.items()}
