"""Operators done otherwise, compared with what torch computes when they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.metrics.diagnosis.model.network import Network
from portproof.metrics.diagnosis.model.operators import operators

torch = pytest.importorskip("torch")
functional = torch.nn.functional
GENERATOR = np.random.default_rng(2)
SAMPLES = GENERATOR.standard_normal((2, 6, 7, 7)).astype(np.float32)
KERNEL = GENERATOR.standard_normal((6, 6, 3, 3)).astype(np.float32)
PLANES, WEIGHT = torch.from_numpy(SAMPLES), torch.from_numpy(KERNEL)


def changed(folder: Path, nodes: list[Any], words: str, **weights: np.ndarray) -> np.ndarray:
    """What the network answers with the one change whose words hold these."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 6, 7, 7])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, n) for n, w in weights.items()],
    )
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), folder / "net.onnx")
    found = [c for c in operators(Network(folder / "net.onnx")) if words in c.words]
    assert len(found) == 1
    return found[0].run(SAMPLES)


def test_uneven_padding_on_the_other_side(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["image", "w"], ["out"], pads=[0, 1, 2, 1],
                            kernel_shape=[3, 3])  # fmt: skip
    made = changed(tmp_path, [node], "of both sides exchanged", w=KERNEL)
    expected = functional.conv2d(functional.pad(PLANES, (1, 1, 2, 0)), WEIGHT)
    np.testing.assert_allclose(made, expected.flatten(1), rtol=1e-4, atol=1e-4)


def test_a_dilation_left_out(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["image", "w"], ["out"], pads=[2, 3, 2, 3],
                            kernel_shape=[3, 3], dilations=[2, 3])  # fmt: skip
    made = changed(tmp_path, [node], "without its dilation", w=KERNEL)
    expected = functional.conv2d(PLANES, WEIGHT, padding=1)
    np.testing.assert_allclose(made, expected.flatten(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("words", "groups"), [("with 3 groups", 3), ("with 1 groups", 1), ("groups and channels", 3)]
)
def test_a_channel_shuffle_of_other_groups(tmp_path: Path, words: str, groups: int) -> None:
    nodes = [
        helper.make_node("Reshape", ["image", "apart"], ["five"]),
        helper.make_node("Transpose", ["five"], ["turned"], perm=[0, 2, 1, 3, 4]),
        helper.make_node("Reshape", ["turned", "together"], ["out"]),
    ]
    made = changed(tmp_path, nodes, words, apart=np.array([-1, 2, 3, 7, 7]),
                   together=np.array([-1, 6, 7, 7]))  # fmt: skip
    expected = functional.channel_shuffle(PLANES, groups)
    np.testing.assert_array_equal(made, expected.flatten(1))


def test_parts_in_the_other_order(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["bent"]),
        helper.make_node("Concat", ["image", "bent"], ["out"], axis=1),
    ]
    made = changed(tmp_path, nodes, "in the other order")
    expected = torch.cat([PLANES.relu(), PLANES], 1)
    np.testing.assert_array_equal(made, expected.flatten(1))


def test_one_side_of_an_addition_left_out(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["image"], ["bent"]),
        helper.make_node("Add", ["image", "bent"], ["out"]),
    ]
    made = changed(tmp_path, nodes, "the first side of the addition left out")
    np.testing.assert_array_equal(made, PLANES.relu().flatten(1))
