"""An encoder of characters and a decoder with attention, trained together and exported apart."""

from __future__ import annotations

import math

import torch
from torch import nn

CHARACTERS, SYMBOLS, WIDTH, LONGEST, LENGTH = 42, 13, 48, 24, 11


class Encoder(nn.Module):
    """Character ids and mask (N, 24) to memory (N, 24, 48)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(CHARACTERS, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(LONGEST, WIDTH))
        self.along = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, 5, padding=2) for _ in range(3))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The memory, 0 where no character is."""
        kept = mask.to(torch.float32).unsqueeze(-1)
        memory = (self.embedding(ids) + self.places) * kept
        for layer in self.along:
            memory = (memory + torch.relu(layer(memory.transpose(1, 2)).transpose(1, 2))) * kept
        return memory


class Attention(nn.Module):
    """Attention of one head; where ``allowed`` is 0, nothing is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor, y: torch.Tensor, allowed: torch.Tensor) -> torch.Tensor:
        """What x takes of y."""
        scores = self.query(x) @ self.key(y).transpose(1, 2) / math.sqrt(WIDTH)
        return (scores - 1e4 * (1.0 - allowed)).softmax(-1) @ self.value(y)


class Decoder(nn.Module):
    """Memory (N, 24, 48), mask (N, 24) and symbols so far (N, 11) to scores (N, 11, 13): those at
    place t are of the symbol at t + 1, and depend on no later one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.places = nn.Parameter(0.1 * torch.randn(LENGTH, WIDTH))
        self.own, self.other = Attention(), Attention()
        self.mixed = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, SYMBOLS)
        causal = torch.tril(torch.ones(1, LENGTH, LENGTH))
        self.register_buffer("causal", causal, persistent=False)

    def forward(
        self, memory: torch.Tensor, mask: torch.Tensor, symbols: torch.Tensor
    ) -> torch.Tensor:
        """The scores."""
        x = self.embedding(symbols) + self.places
        x = x + self.own(x, x, self.causal)
        x = x + self.other(x, memory, mask.to(torch.float32).unsqueeze(1))
        return self.head(x + self.mixed(x))


class Pair(nn.Module):
    """Both, to be trained together."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()


def build() -> nn.Module:
    """Both, untrained."""
    return Pair()


def build_encoder() -> nn.Module:
    """The encoder, untrained."""
    return Encoder()


def build_decoder() -> nn.Module:
    """The decoder, untrained."""
    return Decoder()
