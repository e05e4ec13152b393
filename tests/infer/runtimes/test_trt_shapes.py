"""The backend ``trt`` on engines that are unlike an image classifier: types, ranks, side inputs,
open dimensions, and graphs that cannot be captured.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.backend import LoadRequest, find
from portproof.core.errors import InputError, ToolError

Plan = Callable[..., Path]
Tensor = tuple[str, int, Sequence[Any]]
F, U8, I64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64


def model(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    **constants: Any,
) -> Path:
    """An ONNX file."""
    values = [[helper.make_tensor_value_info(*t) for t in tensors] for tensors in (inputs, outputs)]
    graph = helper.make_graph(
        nodes, "g", *values, [numpy_helper.from_array(v, n) for n, v in constants.items()]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    return path


def agrees(
    engine: Path, source: Path, feeds: dict[str, Any], graph: str, batch: int = 2
) -> tuple[Any, ...]:
    """The shapes of the engine's inputs, after it answered what ONNX Runtime answers."""
    session = find("trt").load(engine, LoadRequest(batch=batch, options={"graph": graph}))
    got, expected = session.run(feeds), find("ort").load(source, LoadRequest()).run(feeds)
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(got[name], array, strict=True)
    shapes = tuple(s.shape for s in session.inputs)
    session.close()
    return shapes


def cases() -> dict[
    str,
    tuple[list[Any], list[Tensor], list[Tensor], dict[str, Any], dict[str, Any], tuple[Any, ...]],
]:
    """Name -> nodes, inputs, outputs, profile, feeds, and the shapes that the inputs must have."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=(2, 3, 5, 7)).astype(np.float32)
    pool, node = [helper.make_node("GlobalAveragePool", ["x"], ["y"])], helper.make_node
    rows = {"x": [[1, 3], [2, 3], [4, 3]]}
    pooled: list[Tensor] = [("y", F, ["n", 3, 1, 1])]
    return {
        "uint8": (
            [node("Cast", ["x"], ["y"], to=F)],
            [("x", U8, ["n", 4])],
            [("y", F, ["n", 4])],
            {"x": [[1, 4], [2, 4], [4, 4]]},
            {"x": np.arange(8, dtype=np.uint8).reshape(2, 4)},
            ((None, 4),),
        ),
        "int64": (
            [node("Add", ["x", "x"], ["y"])],
            [("x", I64, ["n", 3])],
            [("y", I64, ["n", 3])],
            rows,
            {"x": np.arange(6).reshape(2, 3)},
            ((None, 3),),
        ),
        "open height and width": (
            pool,
            [("x", F, ["n", 3, "h", "w"])],
            pooled,
            {"x": [[1, 3, 4, 4], [2, 3, 8, 8], [4, 3, 9, 9]]},
            {"x": image},
            ((None, 3, None, None),),
        ),
        "one height and width": (
            pool,
            [("x", F, [2, 3, "h", "w"])],
            [("y", F, [2, 3, 1, 1])],
            {"x": [[2, 3, 5, 7]] * 3},
            {"x": image},
            ((2, 3, 5, 7),),
        ),
        "odd names": (
            [node("Relu", ["x:0.a/b c"], ["y.1:0"])],
            [("x:0.a/b c", F, ["n", 3])],
            [("y.1:0", F, ["n", 3])],
            {"x:0.a/b c": rows["x"]},
            {"x:0.a/b c": image[:, :, 0, 0]},
            ((None, 3),),
        ),
        "scalar output": (
            [node("ReduceSum", ["x"], ["y"], keepdims=0)],
            [("x", F, ["n", 3])],
            [("y", F, [])],
            rows,
            {"x": image[:, :, 0, 0]},
            ((None, 3),),
        ),
        "scalar input": (
            [node("Mul", ["x", "k"], ["y"])],
            [("x", F, ["n", 3]), ("k", F, [])],
            [("y", F, ["n", 3])],
            rows,
            {"x": np.ones((2, 3), np.float32), "k": np.array(2, np.float32)},
            ((None, 3), ()),
        ),
        "a table without a batch": (
            [node("MatMul", ["x", "t"], ["y"])],
            [("x", F, ["n", "m", 3]), ("t", F, [3, 5])],
            [("y", F, ["n", "m", 5])],
            {"x": [[1, 1, 3], [2, 4, 3], [4, 9, 3]]},
            {"x": np.ones((2, 4, 3), np.float32), "t": np.ones((3, 5), np.float32)},
            ((None, None, 3), (3, 5)),
        ),
        "nothing in it": (
            [node("Relu", ["x"], ["y"])],
            [("x", F, ["n", 3])],
            [("y", F, ["n", 3])],
            {"x": [[0, 3], [2, 3], [4, 3]]},
            {"x": np.zeros((0, 3), np.float32)},
            ((None, 3),),
        ),
    }


@pytest.mark.parametrize("name", cases())
@pytest.mark.parametrize("graph", ["off", "on"])
def test_engines_of_other_kinds(plan: Plan, tmp_path: Path, name: str, graph: str) -> None:
    nodes, inputs, outputs, profile, feeds, shapes = cases()[name]
    source = model(tmp_path / "m.onnx", nodes, inputs, outputs)
    assert agrees(plan(source, profiles=[profile]), source, feeds, graph) == shapes


def test_shapes_that_do_not_fit_together_are_one_sentence(plan: Plan, tmp_path: Path) -> None:
    pair: list[Tensor] = [("a", F, ["n", 3]), ("b", F, ["n", 3])]
    source = model(
        tmp_path / "m.onnx",
        [helper.make_node("Add", ["a", "b"], ["y"])],
        pair,
        [("y", F, ["n", 3])],
    )
    rows = [[1, 3], [2, 3], [4, 3]]
    session = find("trt").load(
        plan(source, profiles=[{"a": rows, "b": rows}]), LoadRequest(batch=2)
    )
    with pytest.raises(
        InputError,
        match=(
            r"does not take these shapes together: \{'a': \(2, 3\), 'b': \(3, 3\)\} \(.*inferShapes"
        ),
    ):
        session.run({"a": np.ones((2, 3), np.float32), "b": np.ones((3, 3), np.float32)})
    assert session.run({n: np.ones((2, 3), np.float32) for n in "ab"})["y"].sum() == 12


@pytest.mark.parametrize("package", ["torch", "cuda-python"])
def test_an_engine_that_no_graph_can_hold_says_so_and_leaves_the_stream_usable(
    plan: Plan, tiny_onnx: Path, double: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    if package == "torch":
        monkeypatch.setitem(
            sys.modules, "torch", importlib.import_module("torch_double").torch_module()
        )
    engine = plan(tiny_onnx, profiles=[{"image": [[1, 3, 4, 4]] * 3}], loops=True)
    session = find("trt").load(engine, LoadRequest(options={"graph": "on", "buffers": package}))
    with pytest.raises(
        ToolError,
        match=r"no CUDA graph could be captured: .*not permitted when stream is capturing",
    ):
        session.run({"image": np.zeros((1, 3, 4, 4), np.float32)})
    assert all(stream.captured is None for stream in double.streams.values())
