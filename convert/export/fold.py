"""A model that takes raw 8-bit pixels: scale, mean and std become part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portproof.card import Card
from portproof.core.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn


def check_foldable(card: Card) -> None:
    """Refuse a card whose input is not one image, or that holds raw pixels already."""
    image = card.inputs[0]
    if len(card.inputs) != 1 or len(image.shape) != 3:
        raise InputError(
            f"--fold-normalize: model card '{card.name}' has {len(card.inputs)} inputs, one image"
            " was expected"
        )
    if image.dtype == "uint8" or not card.preprocessing.normalises:
        raise InputError(
            f"--fold-normalize: model card '{card.name}' takes raw pixels already; leave the"
            " option out"
        )


def with_normalisation(model: nn.Module, card: Card) -> nn.Module:
    """The model behind ``(pixel - divide * mean) * (1 / (divide * std))``, for uint8 input in the
    recipe's layout.

    That form has two operators and is the one of AIPP (``min``/``var_reci``); it differs from
    ``(pixel / divide - mean) / std`` by a few units of float32 rounding, and in half precision,
    which a device may choose, by less than the three-step form does.
    """
    import numpy as np
    import torch
    from torch import nn

    recipe = card.preprocessing
    shape = (3, 1, 1) if recipe.layout == "NCHW" else (3,)
    mean, std = np.asarray(recipe.mean, dtype=np.float64), np.asarray(recipe.std, dtype=np.float64)

    class Normalised(nn.Module):
        offset: torch.Tensor
        factor: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.register_buffer(
                "offset", torch.tensor(recipe.divide * mean, dtype=torch.float32).reshape(shape)
            )
            self.register_buffer(
                "factor",
                torch.tensor(1.0 / (recipe.divide * std), dtype=torch.float32).reshape(shape),
            )

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            normal: torch.Tensor = (pixels.to(torch.float32) - self.offset) * self.factor
            return self.model(normal)  # type: ignore[no-any-return]

    return Normalised().eval()
