"""The shapes that an engine is built for, as a user writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.backend import TensorSpec
from portproof.convert.nvidia.profiles import profile_of
from portproof.convert.onnxfile.read import OnnxHead
from portproof.core.errors import InputError


def model(name: str, shape: tuple[int | None, ...]) -> OnnxHead:
    inputs, nothing = (TensorSpec(name, "float32", shape),), frozenset[str]()
    return OnnxHead(
        Path("m.onnx"), inputs, None, 8, {}, nothing, nothing, {}, nothing, False, False
    )


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
    head = model(name, (None, None, None, None))
    if all(a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
        assert profile_of(head, [word], None) == {name: (low, best, high)}
    else:
        with pytest.raises(InputError, match="smallest first"):
            profile_of(head, [word], None)


@given(st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_whatever_is_not_a_profile_is_one_sentence(word: str) -> None:
    with pytest.raises(InputError):
        profile_of(model("image", (None, 3)), [word], None)


def test_a_batch_fills_a_dynamic_first_dimension_and_no_other() -> None:
    assert profile_of(model("x", (None, 3)), (), 4) == {"x": ((4, 3),) * 3}
    assert profile_of(model("x", (4, 3)), (), 4) == {}
    with pytest.raises(InputError, match="fixed batch 4 in 'x', --batch asks for 8"):
        profile_of(model("x", (4, 3)), (), 8)
    with pytest.raises(InputError, match="give --shapes x:MIN,OPT,MAX"):
        profile_of(model("x", (None, None)), (), 4)
