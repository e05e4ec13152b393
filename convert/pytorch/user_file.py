"""Models that a user's own Python file makes (``path/to/file.py:callable``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.card import Card
from portproof.convert.pytorch.checkpoint import read_state_dict, unprefixed
from portproof.convert.pytorch.models import Named
from portproof.convert.pytorch.weights import load_strictly
from portproof.core.errors import InputError
from portproof.core.usercode import imported_files, load_callable, own_folder, source_of

if TYPE_CHECKING:
    from torch import nn

PACKAGES: tuple[str, ...] = ()


def files(card: Named) -> list[Path]:
    """The file, and after it those of its folder that it has imported in this process."""
    return imported_files(source_of(card.builder, card.path)[0])


def build(card: Card, weights: Path | None) -> nn.Module:
    """What the callable returns, called with the card's options, with the weights loaded.

    A function ``checkpoint_filter_fn(state_dict, model)`` in the file is applied to the state dict
    first, as in timm.
    """
    from torch import nn

    source, attribute = source_of(card.builder, card.path)
    with own_folder(source):
        function, module = load_callable(source, attribute)
        model = function(**card.options)
    if not isinstance(model, nn.Module):
        raise InputError(
            f"'{card.builder}' returned {type(model).__name__}, a torch.nn.Module was expected"
        )
    if weights is not None:
        file = unprefixed(read_state_dict(weights), model.state_dict())
        state: Any = {name: tensor.clone() for name, tensor in file.items()}
        if hasattr(module, "checkpoint_filter_fn"):
            with own_folder(source):
                state = module.checkpoint_filter_fn(state, model)
        load_strictly(model, state, weights, file, card.weights.allow_changes)
    return model
