"""The header of an ONNX file, compared with what the onnx package says of the same file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from portproof.convert.onnxfile.header import read_header
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
    header = read_header(tmp_path / "m.onnx")
    assert header.metadata == {"a key": "a value", "location": "../no/tensor"}
    assert (header.opset, header.ir_version, header.external, header.half, header.quantized) == (
        13,
        8,
        set(),
        False,
        False,
    )


def test_half_and_quantized(tmp_path: Path) -> None:
    save(tmp_path / "half.onnx", [numpy_helper.from_array(np.ones(2, np.float16), "w")])
    assert read_header(tmp_path / "half.onnx").half
    constant = helper.make_node(
        "Constant", [], ["w"], value=numpy_helper.from_array(np.ones(2, np.float16), "c")
    )
    save(tmp_path / "constant.onnx", [], [constant])
    assert read_header(tmp_path / "constant.onnx").half
    save(tmp_path / "q.onnx", [], [helper.make_node("QuantizeLinear", ["x", "s"], ["y"])])
    assert read_header(tmp_path / "q.onnx").quantized


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
    header = read_header(path)
    assert header.external == {location}
    with pytest.raises(InputError, match="outside its own folder"):
        header.refuse_outside_data(path)


def test_external_data_beside_the_model_is_one_of_its_files(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [external("m.data")])
    header = read_header(tmp_path / "m.onnx")
    with pytest.raises(InputError, match=r"m\.data' does not exist"):
        header.refuse_outside_data(tmp_path / "m.onnx")
    (tmp_path / "m.data").write_bytes(bytes(8))
    header.refuse_outside_data(tmp_path / "m.onnx")
    assert header.files(tmp_path / "m.onnx") == [tmp_path / "m.onnx", tmp_path / "m.data"]
    (tmp_path / "m.data").unlink()
    (tmp_path / "m.data").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="outside its own folder"):
        header.refuse_outside_data(tmp_path / "m.onnx")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_model_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "m.onnx"
    path.write_bytes(data)
    try:
        read_header(path)
    except InputError as error:
        assert "is not an ONNX file" in str(error)


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "m.onnx", [numpy_helper.from_array(np.ones(2, np.float32), "w")])
    whole = (tmp_path / "m.onnx").read_bytes()
    (tmp_path / "m.onnx").write_bytes(whole[:-9])
    with pytest.raises(InputError, match="cut short"):
        read_header(tmp_path / "m.onnx")
