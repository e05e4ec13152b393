"""fp16 of networks that read the batch first: ONNX Runtime died of what was made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto
from torch import nn

WIDTH, STEPS = 8, 5


class Reading(nn.Module):
    """A recurrent layer under a dense one, as in a CRNN."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer
        width = layer.hidden_size * (2 if layer.bidirectional else 1)
        self.head = nn.Linear(width, 3)

    def forward(self, x: torch.Tensor) -> Any:
        """(batch, steps, width) to (batch, steps, 3)."""
        return self.head(self.layer(x)[0])


class Attending(nn.Module):
    """Attention, whose projections begin with a change of the first two axes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.MultiheadAttention(WIDTH, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> Any:
        """(batch, steps, width) to the same."""
        return self.layer(x, x, x, need_weights=False)[0]


class Turned(nn.Module):
    """Nothing but the two operators."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> Any:
        """(batch, steps, width) to (steps, batch, 3)."""
        return self.head(x.transpose(0, 1))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Reading(nn.LSTM(WIDTH, 6, num_layers=2, bidirectional=True, batch_first=True)),
        lambda: Reading(nn.GRU(WIDTH, 6, batch_first=True)),
        lambda: Reading(nn.RNN(WIDTH, 6, batch_first=True)),
        Attending,
        Turned,
    ],
    ids=["lstm", "gru", "rnn", "attention", "turned"],
)
def test_fp16_is_made_loads_and_answers_as_fp32(make: Any, tmp_path: Path, stage: Any) -> None:
    torch.manual_seed(0)
    shape, x = {"x": {0: "batch"}}, torch.randn(2, STEPS, WIDTH)
    torch.onnx.export(
        make().eval(),
        (x,),
        tmp_path / "m.onnx",
        input_names=["x"],
        dynamic_axes=shape,
        dynamo=False,
    )
    done = stage("convert/quantize.py", "m.onnx", "h.onnx", "--precision", "fp16", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "float32, which rounds nothing" in done.stderr
    graph = onnx.load(tmp_path / "h.onnx").graph
    kinds = [w.data_type for w in graph.initializer if np.prod(w.dims) > STEPS]
    assert kinds and set(kinds) == {TensorProto.FLOAT16}  # no weight was kept
    full, half = (
        onnxruntime.InferenceSession(tmp_path / name).run(None, {"x": x.numpy()})[0]
        for name in ("m.onnx", "h.onnx")
    )
    # A float16 has 11 bits; weights, inputs and results are rounded to it.
    assert 0 < np.abs(full - half).max() < 2e-3 * np.ptp(full)
