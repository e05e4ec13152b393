"""The demonstration's model: a small convolutional network for 10 classes of 3 x 32 x 32 images."""

from __future__ import annotations

from torch import nn


def build() -> nn.Module:
    """A network that maps images (N, 3, 32, 32) to logits (N, 10)."""

    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        ]

    return nn.Sequential(
        *block(3, 16),
        *block(16, 32),
        *block(32, 64),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )
