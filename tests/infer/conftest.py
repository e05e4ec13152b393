"""Tiny models and data sets for the inference tests."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

CARD = """\
name: tiny
builder: tiny.py:build
inputs: [{name: image, shape: [3, 2, 2]}]
outputs: [{name: class, shape: [5]}]
recipe: {crop: [2, 2]}
"""
MODULE = """\
import torch


def build():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
"""


@dataclass(frozen=True)
class Tiny:
    """A linear model as an ONNX file, a data set for it, and what it must answer, computed with
    numpy.
    """

    folder: Path
    weight: npt.NDArray[np.float32]
    data: dict[str, npt.NDArray[np.float32]]

    def logits(self, sample: str) -> npt.NDArray[np.float32]:
        return self.data[sample].reshape(1, -1) @ self.weight

    def save_model(
        self, name: str, weight: npt.NDArray[np.float32], batch: int | str = "N"
    ) -> None:
        """``class`` = flattened image x weight, ``top`` = its arg max (int64)."""
        nodes = [
            helper.make_node("Flatten", ["image"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "weight"], ["class"]),
            helper.make_node("ArgMax", ["class"], ["top"], axis=1, keepdims=0),
        ]
        inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 3, 2, 2])]
        outputs = [
            helper.make_tensor_value_info("class", TensorProto.FLOAT, [batch, weight.shape[1]]),
            helper.make_tensor_value_info("top", TensorProto.INT64, [batch]),
        ]
        graph = helper.make_graph(
            nodes, "linear", inputs, outputs, [numpy_helper.from_array(weight, "weight")]
        )
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6),
            self.folder / name,
        )

    def save_samples(self, data: dict[str, npt.NDArray[np.float32]]) -> None:
        """``prep/<id>.bin`` and ``prep.info``, paths relative to the folder."""
        (self.folder / "prep").mkdir(exist_ok=True)
        for name, array in data.items():
            array.tofile(self.folder / "prep" / f"{name}.bin")
        (self.folder / "prep.info").write_text(
            "".join(f"{i} prep/{n}.bin 2 2\n" for i, n in enumerate(data))
        )


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """``model.onnx``, ``card.yaml`` with its builder, and 11 samples."""
    rng = np.random.default_rng(7)
    weight = rng.normal(size=(12, 5)).astype(np.float32)
    data = {f"s{i}": rng.normal(size=(3, 2, 2)).astype(np.float32) for i in range(11)}
    made = Tiny(tmp_path, weight, data)
    made.save_model("model.onnx", weight)
    made.save_samples(data)
    (tmp_path / "card.yaml").write_text(CARD)
    (tmp_path / "tiny.py").write_text(MODULE)
    return made


Plan = Callable[..., Path]


@pytest.fixture(params=("10.16.1", "11.1.0"))
def version(request: pytest.FixtureRequest) -> str:
    """A version of TensorRT."""
    return str(request.param)


@pytest.fixture
def double(version: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The double of CUDA, with that of TensorRT installed beside it."""
    monkeypatch.setenv("TENSORRT_DOUBLE", version)
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "doubles"))
    importlib.import_module("tensorrt")
    double = importlib.import_module("cuda_double")
    yield double
    double.forget()


@pytest.fixture
def plan(double: Any, version: str, tmp_path: Path) -> Plan:
    """``plan(onnx, **facts)`` writes an engine of that model for the double."""

    def write(model: Path, **facts: Any) -> Path:
        write_plan = importlib.import_module("tensorrt_plans").write_plan
        return Path(write_plan(tmp_path / "model.plan", model, **{"version": version, **facts}))

    return write
