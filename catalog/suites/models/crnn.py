"""CRNN: the network of Shi, Bai & Yao, "An End-to-End Trainable Neural Network for Image-based
Sequence Recognition" (2015), table 1, with colour images.
"""

from __future__ import annotations

import torch
from torch import nn

#: Of each convolution: output channels, kernel, padding, normalised or not, and the pooling after.
_LAYERS = (
    (64, 3, 1, False, (2, 2)),
    (128, 3, 1, False, (2, 2)),
    (256, 3, 1, False, None),
    (256, 3, 1, False, (2, 1)),
    (512, 3, 1, True, None),
    (512, 3, 1, True, (2, 1)),
    (512, 2, 0, False, None),
)


class Crnn(nn.Module):
    """Columns of features, read by two bidirectional LSTMs; one step a column of the last map."""

    def __init__(self, classes: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for channels, kernel, padding, normalised, pooled in _LAYERS:
            layers.append(nn.Conv2d(width, channels, kernel, padding=padding))
            # PyTorch's own start shrinks the signal layer by layer, and a file whose answers do not
            # depend on the picture proves nothing: He et al., "Delving deep into rectifiers", 2015.
            nn.init.kaiming_normal_(layers[-1].weight, nonlinearity="relu")
            layers += [nn.BatchNorm2d(channels)] if normalised else []
            layers.append(nn.ReLU())
            if pooled is not None:
                aside = (0, 0) if pooled == (2, 2) else (0, 1)
                layers.append(nn.MaxPool2d((2, 2), stride=pooled, padding=aside))
            width = channels
        self.features = nn.Sequential(*layers)
        self.reader = nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(batch, 3, 32, 100) to (batch, 26, classes)."""
        columns = self.features(image).squeeze(2).transpose(1, 2)
        steps, _ = self.reader(columns)
        answer: torch.Tensor = self.head(steps)
        return answer


def build(classes: int = 37, hidden: int = 256) -> Crnn:
    """The network: 26 letters, 10 digits and the blank."""
    return Crnn(classes, hidden)
