"""Classification models of torchvision, by name (``torchvision:resnet50``)."""

from __future__ import annotations

import difflib
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.models import Named, class_count
from portproof.convert.pytorch.weights import StateDict, load_strictly, read_state_dict, unprefixed
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

    name = card.builder.removeprefix("torchvision:")
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
    model: nn.Module = models.get_model(name, weights=None, **options)
    if weights is not None:
        state = unprefixed(read_state_dict(weights), model.state_dict())
        load_strictly(model, _renamed(model, state), str(weights))
        # Inception v3 and GoogLeNet: torchvision's own weights were trained on other inputs.
        if hasattr(model, "transform_input"):
            setattr(model, "transform_input", _is_published(name, weights))  # noqa: B010 - a plain attribute, which nn.Module's type hides
    return model


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
        r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var|num_batches_tracked))$"
    )
    return {old.sub(r"\1\2", name): tensor for name, tensor in state.items()}
