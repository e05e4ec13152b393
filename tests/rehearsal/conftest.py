"""Small models for the simulated tools, like those that the real tools were seen with."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.rehearsal.om import write_om

SHAPE = (3, 4, 4)
CLASSES = 10


@pytest.fixture(scope="session")
def onnx_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``image`` (batch, 3, 4, 4) to ``class`` (batch, 10), the last node ``/fc/Gemm``, like an exported classifier."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(3)
    weight = numpy_helper.from_array(rng.normal(size=(48, CLASSES)).astype(np.float32) / 4, "w")
    bias = numpy_helper.from_array(rng.normal(size=CLASSES).astype(np.float32), "b")
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"], name="/Flatten"),
            helper.make_node("Gemm", ["flat", "w", "b"], ["class"], name="/fc/Gemm"),
        ],
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", *SHAPE])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", CLASSES])],
        [weight, bias],
    )
    path = tmp_path_factory.mktemp("onnx") / "tiny.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="session")
def multi_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model of the samples with two inputs and five outputs: x float32 [n, 4] and y int64 [n, 1]."""
    import onnx
    from onnx import TensorProto, helper

    def cast(source: str, out: str, to: int, name: str) -> Any:
        return helper.make_node("Cast", [source], [out], name=name, to=to)

    nodes = [
        cast("y", "yf", TensorProto.FLOAT, "cast_y"),
        helper.make_node("Add", ["x", "yf"], ["total"], name="add_1"),
        cast("total", "half", TensorProto.FLOAT16, "cast_h"),
        helper.make_node("Add", ["y", "y"], ["twice"], name="add_2"),
        helper.make_node("Greater", ["total", "x"], ["more"], name="greater_1"),
        cast("total", "dbl", TensorProto.DOUBLE, "cast_d"),
    ]
    kinds = {"total": (TensorProto.FLOAT, 4), "half": (TensorProto.FLOAT16, 4), "twice": (TensorProto.INT64, 1), "more": (TensorProto.BOOL, 4),
             "dbl": (TensorProto.DOUBLE, 4)}  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "multi",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4]), helper.make_tensor_value_info("y", TensorProto.INT64, ["n", 1])],
        [helper.make_tensor_value_info(name, kind, ["n", width]) for name, (kind, width) in kinds.items()],
    )
    path = tmp_path_factory.mktemp("multi") / "multi.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), str(path))
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, onnx_model: Path, multi_onnx: Path) -> Path:
    """A folder with ``bs1.om``, ``bs4.om``, ``dymbatch.om``, ``dymdims.om``, ``dymshape.om``, ``multi.om`` and ``garbage.om``."""
    folder = tmp_path_factory.mktemp("om") / "models"
    folder.mkdir()
    for batch in (1, 4):
        write_om(onnx_model, folder / f"bs{batch}.om", "Ascend310P3", {"image": (batch, *SHAPE)}, half=False)
    dynamic = {"image": (-1, *SHAPE)}
    write_om(onnx_model, folder / "dymbatch.om", "Ascend310P3", dynamic, kind="batch", gears=[[1], [4], [8], [16]], half=False)
    write_om(onnx_model, folder / "dymdims.om", "Ascend310P3", dynamic, kind="dims", gears=[[n, *SHAPE] for n in (1, 4, 8)], half=False)
    write_om(onnx_model, folder / "dymshape.om", "Ascend310P3", dynamic, kind="shape", half=False)
    write_om(multi_onnx, folder / "multi.om", "Ascend310P3", {"x": (2, 4), "y": (2, 1)}, half=False)
    (folder / "garbage.om").write_bytes(b"no model")
    return folder


Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(root: Path, tmp_path: Path, models: Path) -> Program:
    """Run Python with these arguments in ``tmp_path``, where ``models`` is a link to the models; unbuffered, its outputs merged."""
    (tmp_path / "models").symlink_to(models)

    def run(*command: object, env: dict[str, str] | None = None, buffered: bool = False) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        environment = clean | {"PYTHONPATH": str(root / "src")} | ({} if buffered else {"PYTHONUNBUFFERED": "1"}) | (env or {})
        return subprocess.run([sys.executable, *map(str, command)], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=120, check=False)  # fmt: skip

    return run
