"""Nodes that keep float32: what they read and give is not rounded, in fp16 and in int8 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.convert.precision.kept import names_given
from portproof.convert.precision.reduce import ReduceRequest, reduce
from portproof.core.errors import InputError

WIDTH = 6


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Four dense layers and their samples."""
    generator = np.random.default_rng(0)
    nodes, weights, last = [], [], "x"
    for i in range(4):
        array = generator.standard_normal((WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(array, f"w{i}"))
        name = f"dense{i}" if i != 2 else ""
        nodes.append(helper.make_node("MatMul", [last, f"w{i}"], [f"y{i}"], name=name))
        last = f"y{i}"
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", WIDTH]) for n in ("x", "y3")]
    graph = helper.make_graph(nodes, "dense", value[:1], value[1:], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    for i in range(4):
        generator.standard_normal(WIDTH).astype(np.float32).tofile(tmp_path / f"s{i}.bin")
    (tmp_path / "x.info").write_text("".join(f"{i} {tmp_path}/s{i}.bin\n" for i in range(4)))
    return tmp_path / "m.onnx"


def made(model: Path, precision: str, *kept: str) -> Any:
    out = model.with_name(f"{precision}{len(kept)}.onnx")
    info = model.with_name("x.info")
    reduce(ReduceRequest(model, out, precision, info, kept=kept))
    return onnx.load(out).graph


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_kept_nodes_read_and_give_float32(model: Path, precision: str) -> None:
    graph = made(model, precision, "dense1", "y2")  # the third node has no name
    makers = {name: node for node in graph.node for name in node.output}
    kinds = {w.name: w.data_type for w in graph.initializer}
    matmuls = [n for n in graph.node if n.op_type == "MatMul"]
    assert len(matmuls) == 4
    for node, wide in zip(matmuls, (False, True, True, False), strict=True):
        weight = kinds.get(node.input[1])
        assert (weight == TensorProto.FLOAT) == wide
    # Between the two nothing is rounded.
    assert makers[matmuls[2].input[0]].op_type == "MatMul"
    if precision == "int8":
        assert makers[matmuls[1].input[0]].op_type == "MatMul"


def test_a_name_of_no_node_is_refused(model: Path) -> None:
    for precision in ("fp16", "int8"):
        with pytest.raises(InputError, match="has no node, and no result of a node, named"):
            made(model, precision, "absent")


def test_names_come_from_the_command_line_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "keep.txt").write_text("# comment\n a b \n\nc\n")
    assert names_given(["x", str(tmp_path / "keep.txt"), "x"]) == ("x", "a b", "c")
