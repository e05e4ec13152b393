"""BERT base with random weights: transformers' own module where that package is installed, else the
same sizes in plain PyTorch.
"""

from __future__ import annotations

import importlib.util

import torch
from torch import nn

WIDTH, LAYERS, HEADS, INNER, WORDS, POSITIONS = 768, 12, 12, 3072, 30522, 512


class Layer(nn.Module):
    """One encoder layer, normalised after each half as BERT is."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-12), nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Attention and the two linear layers; (batch, tokens, width) in and out."""
        query, key, value = (
            t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1)
        )
        attended = (
            nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        )
        x = self.norm1(x + self.out(attended))
        return self.norm2(x + self.down(nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    """Embeddings and layers, without a pooler."""

    def __init__(
        self, width: int = WIDTH, layers: int = LAYERS, heads: int = HEADS, inner: int = INNER
    ) -> None:
        super().__init__()
        self.words, self.positions = nn.Embedding(WORDS, width), nn.Embedding(POSITIONS, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.layers = nn.ModuleList(Layer(width, heads, inner) for _ in range(layers))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(batch, tokens) of int64 to (batch, tokens, width)."""
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.norm(self.words(input_ids) + self.positions(places))
        for layer in self.layers:
            x = layer(x)
        return x


class Hidden(nn.Module):
    """Only the last hidden state of a transformers model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        """(batch, tokens) of int64 to (batch, tokens, width)."""
        hidden: torch.Tensor = self.model(input_ids, return_dict=False)[0]
        return hidden


def source() -> str:
    """Which of the two is built."""
    return (
        "transformers"
        if importlib.util.find_spec("transformers")
        else "plain PyTorch of the same size"
    )


def build() -> nn.Module:
    """The model."""
    if importlib.util.find_spec("transformers"):
        from transformers import BertConfig, BertModel

        return Hidden(BertModel(BertConfig(), add_pooling_layer=False))
    return Encoder()
