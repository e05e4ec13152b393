"""What the noise ruler rounds, and what it leaves as it is."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from portproof.metrics.outputs.ruler import _rounded_array, rounded_model

THIRD = np.float32(1 / 3)


def model() -> onnx.ModelProto:
    """x times a third, and that plus a third."""
    nodes = [
        helper.make_node("Mul", ["x", "third"], ["product"], name="mul"),
        helper.make_node("Add", ["product", "third"], ["y"], name="add"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1])],
        [value("y", TensorProto.FLOAT, [1])],
        [numpy_helper.from_array(np.array([THIRD]), "third")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def identity(opset: int = 13) -> onnx.ModelProto:
    value = helper.make_tensor_value_info
    inputs, outputs = ([value(name, TensorProto.FLOAT, [1])] for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def answer(made: onnx.ModelProto, x: float) -> np.float32:
    return np.float32(ReferenceEvaluator(made).run(None, {"x": np.array([x], np.float32)})[0][0])


def half(value: np.float32) -> np.float32:
    return np.float32(np.float16(value))


def test_every_value_is_rounded() -> None:
    third, x = half(THIRD), half(np.float32(0.7))
    expected = half(half(x * third) + third)
    assert answer(rounded_model(model(), "fp16"), 0.7) == expected
    assert expected != np.float32(0.7) * THIRD + THIRD


@pytest.mark.parametrize("kept", ["add", "y"])
def test_a_node_is_kept_by_its_name_or_by_an_output(kept: str) -> None:
    """Its weights, and its result, are as they were; what it reads of others is rounded."""
    x = half(np.float32(0.7))
    made = rounded_model(model(), "fp16", kept=[kept])
    assert answer(made, 0.7) == half(x * THIRD) + THIRD


def test_nodes_that_are_kept_read_one_another_as_they_are() -> None:
    x = half(np.float32(0.6))
    made = rounded_model(model(), "fp16", kept=["mul", "add"])
    assert answer(made, 0.6) == x * THIRD + THIRD
    assert half(x * THIRD) != x * THIRD, "or nothing would be seen of it"


@pytest.mark.parametrize(("precision", "bits"), [("bf16", 8), ("fp32", 22)])
def test_numbers_have_so_many_bits(precision: str, bits: int) -> None:
    """Every result is a whole number of steps of its last bit."""
    made = answer(rounded_model(model(), precision), 0.7)
    _, power = np.frexp(made)
    steps = float(made) / 2.0 ** (int(power) - bits)
    assert steps == round(steps)
    assert made != np.float32(0.7) * THIRD + THIRD


def test_fp32_is_rounded_to_the_nearest_number_of_22_bits() -> None:
    """Of two neighbours with 22 bits the nearer one, whatever the size and the sign."""
    random = np.random.default_rng(0)
    for x in (random.normal(size=200) * 10.0 ** random.integers(-9, 9, 200)).astype(np.float32):
        mantissa, power = np.frexp(np.float64(x))
        steps = mantissa * 2**22
        made = rounded_model(identity(), "fp32")
        found = np.float64(answer(made, x)) / 2.0 ** (int(power) - 22)
        assert found == round(found)
        assert abs(found - steps) <= 0.5


@pytest.mark.parametrize(
    ("precision", "before", "after"),
    [("bf16", 11, 13), ("bf16", 13, 13), ("bf16", 17, 17), ("fp16", 11, 11)],
)
def test_the_opset_is_raised_no_further_than_bf16_needs(
    precision: str, before: int, after: int
) -> None:
    """Every version more may change what an operator does, and what runs the model."""
    made = rounded_model(identity(before), precision)
    assert [(entry.domain, entry.version) for entry in made.opset_import] == [("", after)]


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_operators_that_a_model_brings_along_stay_with_it(precision: str) -> None:
    """As exporters write them: a conversion to another opset, which this one needs not, would drop
    what they are made of.
    """
    made, nodes = identity(13), [helper.make_node("Add", ["a", "a"], ["b"])]
    opset = helper.make_opsetid("", 13)
    made.functions.append(helper.make_function("own", "Twice", ["a"], ["b"], nodes, [opset]))
    made.opset_import.append(helper.make_opsetid("own", 1))
    made.graph.node[0].op_type, made.graph.node[0].domain = "Twice", "own"
    assert answer(rounded_model(made, precision), 0.75) == 1.5


def test_only_the_tensors_that_are_named_are_rounded() -> None:
    made = rounded_model(model(), "fp16", narrow=["product"])
    assert answer(made, 0.7) == half(np.float32(0.7) * THIRD) + THIRD


def test_weights_are_rounded_to_bf16_as_cast_does() -> None:
    """To the nearest, ties to even: a half of the last bit goes to the even neighbour."""
    ties = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF], np.uint32).view(np.float32)
    cast = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Cast", ["x"], ["low"], to=TensorProto.BFLOAT16),
                helper.make_node("Cast", ["low"], ["y"], to=TensorProto.FLOAT),
            ],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
    )
    assert np.array_equal(
        _rounded_array(ties, "bf16"), ReferenceEvaluator(cast).run(None, {"x": ties})[0]
    )
    expected = np.array([0x3F800000, 0x3F820000, 0x3F810000, 0x3F800000], np.uint32)
    assert np.array_equal(_rounded_array(ties, "bf16").view(np.uint32), expected)
