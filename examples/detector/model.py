"""The detector: a grid of 8 x 8 cells, one row of (centre, size, objectness, 10 classes) each."""

from __future__ import annotations

import torch
from torch import nn

GRID, STRIDE, CLASSES = 8, 8, 10


class Detector(nn.Module):
    """Images (N, 3, 64, 64) to rows (N, 64, 15), in pixels of the input and probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *block(3, 16, 2),
            *block(16, 32, 2),
            *block(32, 64, 1),
            *block(64, 64, 2),
            *block(64, 64, 1),
            nn.Conv2d(64, 5 + CLASSES, 1),
        )
        ys, xs = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
        centres = torch.stack([xs, ys], -1).reshape(1, GRID * GRID, 2).float()
        self.register_buffer("corners", centres * STRIDE, persistent=False)

    def raw(self, image: torch.Tensor) -> torch.Tensor:
        """The numbers before they become pixels and probabilities, (N, 64, 15)."""
        return self.body(image).flatten(2).transpose(1, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The rows."""
        raw = self.raw(image)
        centre = self.corners + raw[..., 0:2].sigmoid() * STRIDE
        size = raw[..., 2:4].clamp(-3.0, 3.0).exp() * 2 * STRIDE
        return torch.cat([centre, size, raw[..., 4:5].sigmoid(), raw[..., 5:].softmax(-1)], -1)


def block(channels_in: int, channels_out: int, stride: int) -> list[nn.Module]:
    """A convolution with what follows it."""
    return [
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]


def build() -> nn.Module:
    """The detector, untrained."""
    return Detector()
