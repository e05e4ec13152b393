"""float16 as a device computes it: against ONNX's reference evaluator, which computes in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from portproof.convert.precision.half import write_half
from portproof.metrics.layerwise.compare import compare_layers
from portproof.metrics.layerwise.probe import Probe

WIDTH = 8


def norm(scale: float = 1.0) -> onnx.ModelProto:
    """Layer normalisation in single operators, of ``scale`` times the input, then a dense layer."""
    generator = np.random.default_rng(0)
    weights = {
        "scale": np.float32(scale),
        "two": np.float32(2),
        "eps": np.float32(1e-5),
        "w": generator.standard_normal((WIDTH, 4)).astype(np.float32),
    }
    steps = [
        ("Mul", ["x", "scale"], "scaled", {}),
        ("ReduceMean", ["scaled"], "mean", {"axes": [-1]}),
        ("Sub", ["scaled", "mean"], "centred", {}),
        ("Pow", ["centred", "two"], "square", {}),
        ("ReduceMean", ["square"], "variance", {"axes": [-1]}),
        ("Add", ["variance", "eps"], "safe", {}),
        ("Sqrt", ["safe"], "deviation", {}),
        ("Div", ["centred", "deviation"], "normal", {}),
        ("MatMul", ["normal", "w"], "y", {}),
    ]
    nodes = [helper.make_node(op, i, [o], name=f"n_{o}", **a) for op, i, o, a in steps]
    graph = helper.make_graph(
        nodes,
        "norm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def samples(folder: Path) -> Path:
    generator = np.random.default_rng(1)
    lines = []
    for i in range(3):
        generator.standard_normal(WIDTH).astype(np.float32).tofile(folder / f"s{i}.bin")
        lines.append(f"{i} {folder}/s{i}.bin\n")
    (folder / "x.info").write_text("".join(lines))
    return folder / "x.info"


@pytest.mark.parametrize("scale", [1.0, 900.0])
def test_a_float16_file_is_run_as_the_reference_evaluator_runs_it(
    tmp_path: Path, scale: float
) -> None:
    onnx.save(norm(scale), tmp_path / "m.onnx")
    write_half(tmp_path / "m.onnx", tmp_path / "half.onnx")
    side = Probe(tmp_path / "half.onnx", None)
    assert side.precision == "fp16"
    names = [t.name for t in side.tensors if t.op != "Cast"]
    x = np.random.default_rng(2).standard_normal((2, WIDTH)).astype(np.float32)
    half = onnx.load(tmp_path / "half.onnx")
    finals = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, None) for n in names]
    del half.graph.output[:]
    half.graph.output.extend(finals)
    with np.errstate(all="ignore"):
        right = ReferenceEvaluator(half).run(None, {"x": x})
    for name, a, b in zip(names, right, side.opened(names)(0, {"x": x}), strict=True):
        assert b is not None
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b), err_msg=name)
        finite = np.isfinite(a)
        # The evaluator also sums in float16.
        np.testing.assert_allclose(b[finite], a[finite].astype(float), rtol=6e-3, atol=6e-3)
    assert (scale > 1) == any(not np.isfinite(a).all() for a in right)


def test_an_overflow_is_named_where_it_happens(tmp_path: Path) -> None:
    onnx.save(norm(900.0), tmp_path / "m.onnx")
    info = samples(tmp_path)
    report = compare_layers(tmp_path / "m.onnx", tmp_path / "m.onnx", info, emulate="fp16")
    assert report.first == "square"
    healthy = tmp_path / "h.onnx"
    onnx.save(norm(1.0), healthy)
    assert compare_layers(healthy, healthy, info, emulate="fp16").agree
    write_half(healthy, tmp_path / "half.onnx")
    report = compare_layers(healthy, tmp_path / "half.onnx", info)
    assert report.agree and report.precision == "fp16"
