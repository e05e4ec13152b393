"""The head of an ONNX file, compared with what the onnx package wrote into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from portproof.backend import TensorSpec
from portproof.convert.onnxfile.read import load_onnx, read_onnx
from portproof.core.errors import InputError


def save(
    path: Path, initializers: list[Any], nodes: list[Any] | None = None, opset: int = 13
) -> None:
    nodes = nodes or [helper.make_node("Add", ["x", "w"], ["y"])]
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2]) for n in ("x", "y")]
    graph = helper.make_graph(nodes, "g", value[:1], value[1:], initializers)
    onnx.save(
        helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("com.other", 1), helper.make_opsetid("", opset)],
            ir_version=8,
        ),
        path,
    )


def external(location: str) -> Any:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="offset", value="0")
    tensor.external_data.add(key="location", value=location)
    return tensor


def test_facts_of_a_plain_file(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [numpy_helper.from_array(np.ones(2, np.float32), "w")])
    model = onnx.load(tmp_path / "m.onnx")
    helper.set_model_props(model, {"a key": "a value", "location": "../no/tensor"})
    onnx.save(model, tmp_path / "m.onnx")
    head = read_onnx(tmp_path / "m.onnx")
    assert head.metadata == {"a key": "a value", "location": "../no/tensor"}
    assert (head.opset, head.ir_version, head.external, head.half, head.quantized) == (
        13,
        8,
        frozenset(),
        False,
        False,
    )


def test_half_and_quantized(tmp_path: Path) -> None:
    save(tmp_path / "half.onnx", [numpy_helper.from_array(np.ones(2, np.float16), "w")])
    assert read_onnx(tmp_path / "half.onnx").half
    constant = helper.make_node(
        "Constant", [], ["w"], value=numpy_helper.from_array(np.ones(2, np.float16), "c")
    )
    save(tmp_path / "constant.onnx", [], [constant])
    assert read_onnx(tmp_path / "constant.onnx").half
    save(tmp_path / "q.onnx", [], [helper.make_node("QuantizeLinear", ["x", "s"], ["y"])])
    assert read_onnx(tmp_path / "q.onnx").quantized


def test_the_interface_is_without_weights_and_says_what_is_open(tmp_path: Path) -> None:
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, 8, 8]),
        helper.make_tensor_value_info("old", TensorProto.FLOAT, [-1, 3]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]),
        helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None),
    ]
    nodes = [
        helper.make_node("Add", ["old", "w"], ["y"]),
        helper.make_node("Foreign", ["image"], ["z"], domain="com.other"),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])]
    weight = numpy_helper.from_array(np.ones(3, np.float32), "w")
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight])
    imports = [helper.make_opsetid("ai.onnx", 13), helper.make_opsetid("com.other", 2)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    head = read_onnx(path)
    assert head.inputs == (
        TensorSpec("image", "uint8", (None, 3, 8, 8)),
        TensorSpec("old", "float32", (None, 3)),
        TensorSpec("list", "unknown", ()),
    )
    assert head.outputs == (TensorSpec("y", "float32", (None, 3)),)
    assert (head.opsets, head.opset) == ({"ai.onnx": 13, "com.other": 2}, 13)
    assert (head.operators, head.domains) == ({"Add"}, {"com.other"})
    del graph.output[0].type.tensor_type.shape.dim[:]
    graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    assert read_onnx(path).outputs is None


@pytest.mark.parametrize("place", ["inputs", "a branch"])
def test_float16_and_quantized_operators_are_seen_wherever_they_are(
    tmp_path: Path, place: str
) -> None:
    half = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, ["n", 3]) for n in "xy"]
    path = tmp_path / "m.onnx"
    if place == "inputs":
        graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", half[:1], half[1:])
        onnx.save(helper.make_model(graph, ir_version=8), path)
        assert (read_onnx(path).half, read_onnx(path).quantized) == (True, False)
        return
    weight = numpy_helper.from_array(np.ones(2, np.float16), "w")
    branch = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["w", "s"], ["y"])], "b", [], half[1:], [weight]
    )
    save(path, [], [helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)])
    assert (read_onnx(path).half, read_onnx(path).quantized) == (True, True)


def subgraph(location: str) -> Any:
    """The external tensor hidden in a branch of an If."""
    value = [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])]
    branch = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["y"])], "b", [], value, [external(location)]
    )
    return helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize("where", ["initializer", "subgraph", "attribute"])
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "a/../../secret"])
def test_external_data_outside_the_folder_is_refused(
    tmp_path: Path, where: str, location: str
) -> None:
    (tmp_path / "secret").write_bytes(bytes(8))
    folder = tmp_path / "model"
    folder.mkdir()
    path = folder / "m.onnx"
    if where == "initializer":
        save(path, [external(location)])
    elif where == "subgraph":
        save(path, [], [subgraph(location)])
    else:
        save(path, [], [helper.make_node("Constant", [], ["y"], value=external(location))])
    for read in (read_onnx, load_onnx):
        with pytest.raises(InputError, match="outside its own folder"):
            read(path)


def test_external_data_beside_the_model_is_one_of_its_files(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [external("m.data")])
    with pytest.raises(InputError, match=r"m\.data' does not exist"):
        read_onnx(tmp_path / "m.onnx")
    (tmp_path / "m.data").write_bytes(bytes(8))
    assert read_onnx(tmp_path / "m.onnx").files == [tmp_path / "m.onnx", tmp_path / "m.data"]
    (tmp_path / "m.data").unlink()
    (tmp_path / "m.data").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="outside its own folder"):
        read_onnx(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("offset", "length"), [("4", "8"), ("0", "9"), ("-1", "8"), ("²", "8"), ("9" * 5000, "8")]
)
def test_external_data_that_is_too_short_is_one_sentence(
    tmp_path: Path, offset: str, length: str
) -> None:
    tensor = external("m.data")
    tensor.external_data[0].value = offset
    tensor.external_data.add(key="length", value=length)
    save(tmp_path / "m.onnx", [tensor])
    (tmp_path / "m.data").write_bytes(bytes(8))
    with pytest.raises(InputError, match="cut short"):
        read_onnx(tmp_path / "m.onnx")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_model_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "m.onnx"
    path.write_bytes(data)
    try:
        read_onnx(path)
    except InputError as error:
        assert "is not an ONNX file" in str(error)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [numpy_helper.from_array(np.ones(2, np.float32), "w")])
    whole = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[:-9])
    with pytest.raises(InputError, match="cut short"):
        read_onnx(tmp_path / "m.onnx")
