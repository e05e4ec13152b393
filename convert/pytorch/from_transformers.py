"""Encoders of transformers, by the name of their configuration (``transformers:bert``).

The sizes are those that the configuration class has by itself (``bert``: those of
bert-base-uncased); the card's options change them (``transformers:bert,num_hidden_layers=2``).
Nothing is fetched.
"""

from __future__ import annotations

import difflib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.checkpoint import read_state_dict, unprefixed
from portproof.convert.pytorch.models import Named, options_of
from portproof.convert.pytorch.weights import load_strictly
from portproof.core.errors import InputError, MissingPackageError

if TYPE_CHECKING:
    from torch import nn

PACKAGES = ("transformers",)


def files(card: Named) -> list[Path]:
    """None: the version of the package identifies its code."""
    return []


def build(card: Card, weights: Path | None) -> nn.Module:
    """The encoder of the configuration with the weights loaded, without a pooler. Its attention is
    written out in single operators, which every exporter knows.
    """
    if importlib.util.find_spec("transformers") is None:
        raise MissingPackageError("transformers", f"the model card '{card.name}'", "suites")
    from transformers import AutoModel

    with options_of(card):
        config = configuration(card.builder.removeprefix("transformers:"), card.options)
        made: Any = AutoModel
        model: nn.Module = made.from_config(config, attn_implementation="eager")
    # The card's one output is the last hidden state. A pooler that nobody reads would cost time
    # where it is run, and be left out where a compiler sees that.
    if hasattr(model, "pooler"):
        setattr(model, "pooler", None)  # noqa: B010 - nn.Module's type says that it is one
    if weights is not None:
        read = read_state_dict(weights)
        kept = {name: tensor for name, tensor in read.items() if "pooler." not in name}
        file = unprefixed(kept, model.state_dict())
        load_strictly(model, dict(file), weights, file, card.weights.allow_changes)
    return model


def configuration(name: str, options: dict[str, Any]) -> Any:
    """The configuration of a name, changed by options; :class:`InputError` lists near names."""
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    known = list(CONFIG_MAPPING.keys())
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise InputError(
            f"transformers has no configuration '{name}'"
            + (f"; did you mean {', '.join(near)}?" if near else "")
        )
    return AutoConfig.for_model(name, **options)
