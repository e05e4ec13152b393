"""FasterViT, where its package is installed. It is never installed with anything else: its licence
(NVIDIA Source Code License-NC) allows research only.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from portproof.core.errors import MissingPackageError

if TYPE_CHECKING:
    from torch import nn


def _made(name: str) -> nn.Module:
    if importlib.util.find_spec("fastervit") is None:
        raise MissingPackageError("fastervit", f"{name} (its licence: research only)", "fastervit")
    from fastervit import create_model  # type: ignore[import-not-found, unused-ignore]

    model: nn.Module = create_model(name, pretrained=False)
    return model


def faster_vit_0() -> nn.Module:
    """FasterViT 0 with random weights."""
    return _made("faster_vit_0_224")


def faster_vit_1() -> nn.Module:
    """FasterViT 1 with random weights."""
    return _made("faster_vit_1_224")
