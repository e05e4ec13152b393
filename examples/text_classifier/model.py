"""The classifier: embedded tokens, a convolution along them, the mean of those in the mask."""

from __future__ import annotations

import torch
from torch import nn

VOCABULARY, WIDTH, TOPICS = 256, 32, 4


class TextClassifier(nn.Module):
    """Token ids and mask (N, 24) to scores (N, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.along = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)
        self.head = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, TOPICS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The scores."""
        kept = mask.to(torch.float32).unsqueeze(1)
        words = self.embedding(ids).transpose(1, 2) * kept
        mixed = (words + torch.relu(self.along(words))) * kept
        return self.head(mixed.sum(-1) / kept.sum(-1).clamp(min=1.0))


def build() -> nn.Module:
    """The classifier, untrained."""
    return TextClassifier()
