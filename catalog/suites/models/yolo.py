"""A one-stage detector with the layers and widths of YOLOv5s, written for the suites: cross stage
partial blocks (Wang et al., CSPNet, 2019), spatial pyramid pooling, a path aggregation neck (Liu et
al., PANet, 2018), and an anchor head at strides 8, 16 and 32.
"""

from __future__ import annotations

import torch
from torch import nn

_ANCHORS, _CLASSES = 3, 80
#: One over the root of the mean square of SiLU of a standard normal variable; of ReLU that is
#: 2 ** 0.5 (He et al., "Delving deep into rectifiers", 2015). PyTorch's own start makes the signal
#: less layer by layer, and comparing a file whose answers do not depend on the picture proves
#: nothing.
_SILU_GAIN = 1.68


class Unit(nn.Sequential):
    """Convolution, normalisation, SiLU."""

    def __init__(self, before: int, after: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2, bias=False),
            nn.BatchNorm2d(after, eps=1e-3),
            nn.SiLU(),
        )
        nn.init.normal_(self[0].weight, std=_SILU_GAIN / (before * kernel * kernel) ** 0.5)


class Bottleneck(nn.Module):
    """Two units, added to what came in where ``adds``."""

    def __init__(self, width: int, adds: bool) -> None:
        super().__init__()
        self.body, self.adds = nn.Sequential(Unit(width, width), Unit(width, width, 3)), adds

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        y: torch.Tensor = self.body(x)
        return x + y if self.adds else y


class Partial(nn.Module):
    """A cross stage partial block: half of the channels pass the bottlenecks, half go round."""

    def __init__(self, before: int, after: int, depth: int, adds: bool = True) -> None:
        super().__init__()
        half = after // 2
        self.through = nn.Sequential(
            Unit(before, half), *(Bottleneck(half, adds) for _ in range(depth))
        )
        self.around, self.join = Unit(before, half), Unit(after, after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(batch, before, h, w) to (batch, after, h, w)."""
        joined: torch.Tensor = self.join(torch.cat([self.through(x), self.around(x)], 1))
        return joined


class Pyramid(nn.Module):
    """Three poolings one after another, joined."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.reduce, self.join = Unit(width, width // 2), Unit(2 * width, width)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        parts = [self.reduce(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        joined: torch.Tensor = self.join(torch.cat(parts, 1))
        return joined


class Detector(nn.Module):
    """Backbone, neck and head. ``width``: channels after the stem."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w = [width * 2**i for i in range(5)]
        self.stem = nn.Sequential(
            Unit(3, w[0], 6, 2), Unit(w[0], w[1], 3, 2), Partial(w[1], w[1], 1)
        )
        self.stage3 = nn.Sequential(Unit(w[1], w[2], 3, 2), Partial(w[2], w[2], 2))
        self.stage4 = nn.Sequential(Unit(w[2], w[3], 3, 2), Partial(w[3], w[3], 3))
        self.stage5 = nn.Sequential(Unit(w[3], w[4], 3, 2), Partial(w[4], w[4], 1), Pyramid(w[4]))
        self.up5, self.up4 = Unit(w[4], w[3]), Unit(w[3], w[2])
        self.grow = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.mix4 = Partial(2 * w[3], w[3], 1, adds=False)
        self.mix3 = Partial(2 * w[2], w[2], 1, adds=False)
        self.down3, self.down4 = Unit(w[2], w[2], 3, 2), Unit(w[3], w[3], 3, 2)
        self.last4 = Partial(2 * w[2], w[3], 1, adds=False)
        self.last5 = Partial(2 * w[3], w[4], 1, adds=False)
        answers = _ANCHORS * (5 + _CLASSES)
        self.heads = nn.ModuleList(nn.Conv2d(x, answers, 1) for x in w[2:])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, 3, h, w) to (batch, anchors of all places, 4 + 1 + classes)."""
        third = self.stage3(self.stem(image))
        fourth = self.stage4(third)
        top = self.up5(self.stage5(fourth))
        middle = self.up4(self.mix4(torch.cat([self.grow(top), fourth], 1)))
        fine = self.mix3(torch.cat([self.grow(middle), third], 1))
        medium = self.last4(torch.cat([self.down3(fine), middle], 1))
        coarse = self.last5(torch.cat([self.down4(medium), top], 1))
        answers = [head(x) for head, x in zip(self.heads, (fine, medium, coarse), strict=True)]
        return torch.cat(
            [
                a.unflatten(1, (_ANCHORS, 5 + _CLASSES)).flatten(3).transpose(2, 3).flatten(1, 2)
                for a in answers
            ],
            1,
        )


def build(width: int = 32) -> Detector:
    """The detector; YOLOv5s has 32 channels after its stem."""
    return Detector(width)
