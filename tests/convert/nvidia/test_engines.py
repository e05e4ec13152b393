"""What is read of a model before it is converted, and the shapes that are built for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.convert.nvidia.engines import ModelFacts, Request, profile_of, read_model
from portproof.core.errors import InputError


def test_the_precision_of_a_file_is_seen_without_weights_of_it(tmp_path: Path) -> None:
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, ["n", 3]) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tmp_path / "half.onnx",
    )
    assert read_model(tmp_path / "half.onnx").half


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=4, max_size=4), min_size=3, max_size=3),
    st.sampled_from(["image", "a:0", "x y"]),
)
@settings(max_examples=50, deadline=None)
def test_a_profile_is_read_back_as_it_was_written_or_refused(
    shapes: list[list[int]], name: str
) -> None:
    word = f"{name}:" + ",".join("x".join(map(str, s)) for s in shapes)
    low, best, high = map(tuple, shapes)
    ordered = all(a <= b <= c for a, b, c in zip(low, best, high, strict=True))
    facts = ModelFacts({name: (None, None, None, None)}, half=False, quantized=False, files=())
    request = Request(Path("m.onnx"), "out", shapes=(word,))
    if ordered:
        assert profile_of(request, facts, None) == {name: (low, best, high)}
    else:
        with pytest.raises(InputError, match="smallest first"):
            profile_of(request, facts, None)


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_is_no_profile_is_one_sentence(word: str) -> None:
    facts = ModelFacts({"image": (None, 3)}, half=False, quantized=False, files=())
    with pytest.raises(InputError):
        profile_of(Request(Path("m.onnx"), "out", shapes=(word,)), facts, None)
