"""Layers compared: the layer that was damaged is the one that is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.core.errors import InputError
from portproof.metrics.layerwise.compare import compare_layers

DEPTH, WIDTH = 6, 16


def chain(prefix: str = "", batch: str | int = "batch") -> onnx.ModelProto:
    """Six dense layers, each MatMul, Add and Tanh, with fixed random weights; ``prefix`` renames
    every tensor between.
    """
    generator = np.random.default_rng(1)
    nodes, weights, last = [], [], "x"
    for i in range(DEPTH):
        for kind, shape in (("w", (WIDTH, WIDTH)), ("b", (WIDTH,))):
            array = (generator.standard_normal(shape) / 4).astype(np.float32)
            weights.append(numpy_helper.from_array(array, f"{prefix}{kind}{i}"))
        names = [f"{prefix}{op}{i}" for op in ("matmul", "add", "tanh")]
        nodes.append(
            helper.make_node("MatMul", [last, f"{prefix}w{i}"], [names[0]], name=f"dense{i}")
        )
        nodes.append(helper.make_node("Add", [names[0], f"{prefix}b{i}"], [names[1]]))
        nodes.append(helper.make_node("Tanh", [names[1]], [names[2]]))
        last = names[2]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, WIDTH])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [batch, WIDTH])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def change(
    model: onnx.ModelProto, name: str, by: Callable[[np.ndarray], np.ndarray]
) -> onnx.ModelProto:
    changed = copy.deepcopy(model)
    weight = next(w for w in changed.graph.initializer if w.name == name)
    weight.CopyFrom(
        numpy_helper.from_array(by(numpy_helper.to_array(weight)).astype(np.float32), name)
    )
    return changed


@pytest.fixture
def info(tmp_path: Path) -> Path:
    generator = np.random.default_rng(2)
    lines = []
    for i in range(3):
        generator.standard_normal(WIDTH).astype(np.float32).tofile(tmp_path / f"s{i}.bin")
        lines.append(f"{i} {tmp_path}/s{i}.bin\n")
    (tmp_path / "x.info").write_text("".join(lines), encoding="utf-8")
    return tmp_path / "x.info"


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def forward(model: onnx.ModelProto, x: np.ndarray) -> dict[str, np.ndarray]:
    """The chain's tensors, by numpy."""
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    tensors = {"x": x, **weights}
    for node in model.graph.node:
        read = [tensors[name] for name in node.input]
        tensors[node.output[0]] = {"MatMul": np.matmul, "Add": np.add, "Tanh": np.tanh}[
            node.op_type
        ](*read)
    return tensors


def test_the_damaged_layer_is_named_and_its_error_is_right(tmp_path: Path, info: Path) -> None:
    model = chain()
    damaged = change(model, "w3", lambda w: np.roll(w, 1, axis=0))
    report = compare_layers(
        saved(model, tmp_path / "a.onnx"), saved(damaged, tmp_path / "b.onnx"), info
    )
    assert report.first == "matmul3"
    assert (report.samples, report.unmatched, len(report.layers)) == (3, 0, 3 * DEPTH)
    x = np.stack([np.fromfile(tmp_path / f"s{i}.bin", np.float32) for i in range(3)])
    right, wrong = forward(model, x), forward(damaged, x)
    for layer in report.layers:
        expected = np.linalg.norm(right[layer.name] - wrong[layer.name]) / np.linalg.norm(
            right[layer.name]
        )
        assert layer.relative_error == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert layer.max_abs_error == pytest.approx(
            np.abs(right[layer.name] - wrong[layer.name]).max(), rel=1e-3, abs=1e-5
        )
    assert "->" in report.to_text() and "the error grows first at 'matmul3'" in report.to_text()


def test_small_errors_everywhere_name_no_layer(tmp_path: Path, info: Path) -> None:
    model = chain()
    rounded = copy.deepcopy(model)
    for i in range(DEPTH):
        rounded = change(rounded, f"w{i}", lambda w: w.astype(np.float16))
    report = compare_layers(
        saved(model, tmp_path / "a.onnx"), saved(rounded, tmp_path / "b.onnx"), info
    )
    assert report.first is None
    assert report.output_error is not None and 0 < report.output_error < 1e-2


def test_an_error_that_the_outputs_do_not_show_names_no_layer(tmp_path: Path, info: Path) -> None:
    model = chain()
    # A layer whose weights are zero hides what comes before it.
    model = change(model, "w5", np.zeros_like)
    damaged = change(model, "w2", lambda w: -w)
    report = compare_layers(
        saved(model, tmp_path / "a.onnx"), saved(damaged, tmp_path / "b.onnx"), info
    )
    assert report.first is None and report.output_error == 0
    assert max(layer.relative_error or 0 for layer in report.layers) > 0.1


def test_overflow_is_the_layer_where_b_is_no_longer_finite(tmp_path: Path, info: Path) -> None:
    model = chain()
    overflowing = change(model, "b2", lambda b: np.full_like(b, np.nan))
    report = compare_layers(
        saved(model, tmp_path / "a.onnx"), saved(overflowing, tmp_path / "b.onnx"), info
    )
    assert report.first == "add2" and report.output_error is None
    assert json.loads(report.to_json())["layers"][7]["relative_error"] is None
    assert "not finite" in report.to_text()


def test_other_names_match_by_position_when_the_operators_are_the_same(
    tmp_path: Path, info: Path
) -> None:
    model, renamed = chain(), change(chain(prefix="other_"), "other_w4", lambda w: w + 1)
    report = compare_layers(
        saved(model, tmp_path / "a.onnx"), saved(renamed, tmp_path / "b.onnx"), info
    )
    assert report.first == "matmul4" and report.unmatched == 0


def test_a_model_with_a_fixed_batch_compares_with_a_dynamic_one(tmp_path: Path, info: Path) -> None:
    paths = saved(chain(batch=4), tmp_path / "a.onnx"), saved(chain(batch=4), tmp_path / "b.onnx")
    assert compare_layers(*paths, info).output_error == 0


def test_memory_is_bounded_by_looking_at_few_tensors_at_a_time(
    tmp_path: Path, info: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = change(chain(), "w3", lambda w: -w)
    paths = saved(chain(), tmp_path / "a.onnx"), saved(damaged, tmp_path / "b.onnx")
    whole = compare_layers(*paths, info)
    monkeypatch.setattr("portproof.metrics.layerwise.probe._TOGETHER_BYTES", 1)
    assert compare_layers(*paths, info) == whole


def test_the_command_and_what_it_refuses(
    tmp_path: Path, info: Path, stage: Callable[..., object]
) -> None:
    a, b = (
        saved(chain(), tmp_path / "a.onnx"),
        saved(change(chain(), "w1", lambda w: 2 * w), tmp_path / "b.onnx"),
    )
    done = stage("metrics/layers.py", a, b, "--info", info, "--json")
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert json.loads(done.stdout)["first"] == "matmul1"  # type: ignore[attr-defined]
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH + 1])
        for name in ("x", "y")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "wide", value[:1], value[1:]
    )
    wide = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    with pytest.raises(InputError, match="take different inputs"):
        compare_layers(a, saved(wide, tmp_path / "wide.onnx"), info)
    (tmp_path / "not.onnx").write_bytes(b"no model")
    with pytest.raises(InputError, match="not an ONNX file"):
        compare_layers(a, tmp_path / "not.onnx", info)


def test_accumulated_error_is_said_to_be_spread(tmp_path: Path, info: Path) -> None:
    generator = np.random.default_rng(5)
    noisy = chain()
    sizes = (0.08, 0.02, 0.08, 0.02, 0.08, 0.02)
    for i, size in enumerate(sizes):
        noisy = change(noisy, f"w{i}", lambda w, s=size: w + s * generator.standard_normal(w.shape))
    onnx.save(chain(), tmp_path / "a.onnx")
    onnx.save(noisy, tmp_path / "b.onnx")
    report = compare_layers(tmp_path / "a.onnx", tmp_path / "b.onnx", info)
    assert sum(share.share for share in report.shares) == pytest.approx(1)
    assert {share.name for share in report.shares[:3]} == {"matmul0", "matmul2", "matmul4"}
    spread = msgspec.structs.replace(report, first=None).to_text()
    assert "is spread" in spread and "at 'matmul2' (MatMul)" in spread


def test_equal_outputs_are_said_to_agree(tmp_path: Path, info: Path) -> None:
    onnx.save(chain(), tmp_path / "a.onnx")
    report = compare_layers(tmp_path / "a.onnx", tmp_path / "a.onnx", info)
    assert report.shares == [] and "the outputs agree" in report.to_text()
