"""The segmenter: down to a quarter of the size and up again, with a sum at each size."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 11


class Segmenter(nn.Module):
    """Images (N, 3, 48, 48) to scores (N, 11, 48, 48): the ground, and a class for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.at_whole, self.at_half = block(3, 16, 1), block(16, 32, 2)
        self.at_quarter = nn.Sequential(block(32, 64, 2), block(64, 64, 1), block(64, 64, 1))
        self.up_half, self.up_whole = nn.Conv2d(64, 32, 1), nn.Conv2d(32, 16, 1)
        self.middle, self.head = block(32, 32, 1), nn.Conv2d(16, CLASSES, 3, 1, 1)
        self.larger = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The scores."""
        whole = self.at_whole(image)
        half = self.at_half(whole)
        deep = self.larger(self.up_half(self.at_quarter(half)))
        return self.head(whole + self.larger(self.up_whole(self.middle(half + deep))))


def block(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """A convolution with what follows it."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


def build() -> nn.Module:
    """The segmenter, untrained."""
    return Segmenter()
