"""Small networks, exported in this process without weights files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from portproof.card import Card
from portproof.convert.export.export import ExportRequest, write_checked

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


class Body(torch.nn.Module):
    """A convolution and a linear layer; ``forward`` is a function of (module, image)."""

    def __init__(self, forward: Callable[[Any, Any], Any], prepare: Callable[[Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.c, self.fc = torch.nn.Conv2d(3, 8, 7, stride=8), torch.nn.Linear(8, 10)
        self.body = forward
        prepare(self)

    def head(self, x: Any) -> Any:
        """(N, 10)."""
        return self.fc(self.c(x).mean((2, 3)))

    def tokens(self, x: Any) -> Any:
        """(N, 16, 8)."""
        return self.c(x).flatten(2).transpose(1, 2)

    def forward(self, image: Any) -> Any:
        """What the test says."""
        return self.body(self, image)


@pytest.fixture
def net() -> Callable[..., Any]:
    """``net(forward, prepare)``: a network in evaluation mode."""
    return lambda forward, prepare=lambda _: None: Body(forward, prepare).eval()


@pytest.fixture
def card_with() -> Callable[..., Card]:
    """``card_with(inputs, outputs)``: a card of (name, shape, dtype) inputs and named outputs."""

    def make(inputs: Any = (("image", (3, 32, 32), "float32"),), outputs: Any = ("class",)) -> Card:
        rows = [{"name": n, "shape": s, "dtype": d} for n, s, d in inputs]
        size = {"resize": {"rule": "exact", "size": [32, 32]}}
        content = {"name": "m", "builder": "m.py:m", "inputs": rows, "recipe": size}
        return msgspec.convert(content | {"outputs": [{"name": n} for n in outputs]}, Card)

    return make


@pytest.fixture
def checked(tmp_path: Path, card_with: Callable[..., Card]) -> Callable[..., Any]:
    """``checked(network, card, **request)``: exports to ``tmp_path / 'm.onnx'`` and checks."""

    def run(network: Any, card: Card | None = None, **request: Any) -> Any:
        path = tmp_path / "m.onnx"
        return write_checked(network, card or card_with(), ExportRequest(**request), path)

    return run
