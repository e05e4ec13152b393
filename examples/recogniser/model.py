"""The recogniser: a strip becomes 20 steps from left to right, each with 11 scores."""

from __future__ import annotations

import torch
from torch import nn


class Recogniser(nn.Module):
    """Strips (N, 3, 16, 80) to scores (N, 20, 11): the blank, then the digits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(3, 16, (2, 2)),
            block(16, 32, (1, 1)),
            block(32, 48, (2, 2)),
            block(48, 64, (1, 1)),
            block(64, 64, (2, 1)),
        )
        self.along = nn.Sequential(
            nn.Conv1d(128, 64, 3, padding=1), nn.ReLU(inplace=True), nn.Conv1d(64, 11, 1)
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The scores."""
        return self.along(self.body(image).flatten(1, 2)).transpose(1, 2)


def block(channels_in: int, channels_out: int, stride: tuple[int, int]) -> nn.Module:
    """A convolution with what follows it."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def build() -> nn.Module:
    """The recogniser, untrained."""
    return Recogniser()
