"""Repair and bundle: the lossy layer is kept in fp32, the loss is gone, the bundle fails alone."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.convert.precision.half import write_half
from portproof.convert.precision.int8 import write_int8
from portproof.convert.precision.kept import names_given
from portproof.core.errors import InputError
from portproof.manifest import read_info
from portproof.metrics.layerwise.graph import Tensor
from portproof.metrics.repair.lists import write_lists
from portproof.metrics.repair.request import LayersRequest, compare_and_repair

from ..layerwise.test_emulation import norm, samples

WIDTH = 8


def request(folder: Path, a: str, b: str, **more: object) -> LayersRequest:
    return LayersRequest(str(folder / a), str(folder / b), str(folder / "x.info"), **more)  # type: ignore[arg-type]


def test_an_overflow_of_fp16_is_kept_in_fp32(tmp_path: Path) -> None:
    info = samples(tmp_path)
    onnx.save(norm(900.0), tmp_path / "m.onnx")
    write_half(tmp_path / "m.onnx", tmp_path / "half.onnx")
    for options in ({"b": "half.onnx"}, {"b": "m.onnx", "emulate": "fp16"}):
        b = options.pop("b")
        out = tmp_path / f"repair_{b}"
        report = compare_and_repair(request(tmp_path, "m.onnx", b, repair=str(out), **options))
        assert report.first == "square" and report.output_error == pytest.approx(1.0)
        done = report.repair
        assert done is not None and done.gone and done.after is not None and done.after < 1e-2
        assert {"n_square", "n_variance"} <= set(done.kept) and "n_y" not in done.kept
        assert (out / "keep_dtype.cfg").read_text().split() == done.kept
        flags = (out / "trtexec.txt").read_text().split()
        assert flags[0] == "--precisionConstraints=obey" and "n_square:fp32" in flags[1]
        assert "Pow" in json.loads((out / "ops_info.json").read_text())["black-list"]["to-add"]
        again = compare_and_repair(
            LayersRequest(str(tmp_path / "m.onnx"), str(out / "model_fp16.onnx"), str(info))
        )
        assert again.output_error == pytest.approx(done.after) and again.agree


def wide_and_narrow() -> onnx.ModelProto:
    """Three dense layers; the second has inputs of very different sizes, which one int8 scale
    cannot hold.
    """
    generator = np.random.default_rng(3)
    names, nodes, weights, last = ["first", "second", "third"], [], [], "x"
    spread = np.ones(WIDTH, np.float32)
    spread[0] = 4000.0
    for at, name in enumerate(names):
        w = generator.standard_normal((WIDTH, WIDTH)).astype(np.float32)
        w = w * spread if at == 0 else w / spread[:, None] if at == 1 else w
        weights.append(numpy_helper.from_array(w.astype(np.float32), f"w_{name}"))
        nodes.append(helper.make_node("MatMul", [last, f"w_{name}"], [name], name=f"n_{name}"))
        last = name
    graph = helper.make_graph(
        nodes,
        "spread",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", WIDTH])],
        [helper.make_tensor_value_info("third", TensorProto.FLOAT, ["batch", WIDTH])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_a_layer_that_int8_cannot_hold_is_kept_in_fp32(tmp_path: Path) -> None:
    info = samples(tmp_path)
    onnx.save(wide_and_narrow(), tmp_path / "m.onnx")
    write_int8(tmp_path / "m.onnx", read_info(info), "minmax", tmp_path / "int8.onnx", tmp_path)
    report = compare_and_repair(
        request(tmp_path, "m.onnx", "int8.onnx", tolerance=0.05, repair=str(tmp_path / "out"))
    )
    assert report.precision == "int8"
    assert report.output_error is not None and report.output_error > 0.2
    done = report.repair
    assert done is not None and done.gone and done.kept == ["n_second"]
    assert done.after is not None and done.after < 0.05
    assert names_given([str(tmp_path / "out" / "keep_fp32.txt")]) == ("n_second",)


def test_what_cannot_be_repaired(tmp_path: Path) -> None:
    samples(tmp_path)
    onnx.save(norm(), tmp_path / "m.onnx")
    damaged = norm()
    weight = damaged.graph.initializer[-1]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, weight.name))
    onnx.save(damaged, tmp_path / "bad.onnx")
    for b, message in (("m.onnx", "nothing to repair"), ("bad.onnx", "computes in fp32 already")):
        with pytest.raises(InputError, match=message):
            compare_and_repair(request(tmp_path, "m.onnx", b, repair=str(tmp_path / "out")))
    with pytest.raises(InputError, match="no layer was found at fault"):
        compare_and_repair(request(tmp_path, "m.onnx", "m.onnx", bundle=str(tmp_path / "b.zip")))


def test_nodes_without_a_name_stand_in_the_other_lists(tmp_path: Path) -> None:
    files = write_lists(tmp_path, [Tensor("y", "Softmax", "", ("x",))])
    assert files == ["README.txt", "keep_fp32.txt", "ops_info.json"]
    assert (tmp_path / "keep_fp32.txt").read_text() == "y\n"
    assert "no name of their own" in (tmp_path / "README.txt").read_text()


def large(damage: float) -> onnx.ModelProto:
    """A convolution of 2.4 MB of weights, whose tenth output channel is damaged."""
    generator = np.random.default_rng(4)
    w = (generator.standard_normal((256, 256, 3, 3)) / 48).astype(np.float32)
    w[9] *= damage
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["c"], ["y"], name="relu"),
        ],
        "large",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 256, 40, 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 256, 40, 40])],
        [numpy_helper.from_array(w, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


@pytest.mark.parametrize("kind", ["small", "large", "fp16"])
def test_the_bundle_fails_on_the_fault_alone(tmp_path: Path, kind: str) -> None:
    emulate = None
    if kind == "large":
        np.random.default_rng(1).standard_normal((256, 40, 40)).astype(np.float32).tofile(
            tmp_path / "s.bin"
        )
        (tmp_path / "x.info").write_text(f"0 {tmp_path}/s.bin\n")
        good, bad, first = large(1.0), large(1.5), "c"
    else:
        samples(tmp_path)
        good, bad, first = norm(900.0), norm(900.0), "square"
        if kind == "fp16":
            emulate = "fp16"
        else:
            weight, first = bad.graph.initializer[-1], "y"
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 2, weight.name))
    onnx.save(good, tmp_path / "a.onnx")
    onnx.save(bad, tmp_path / "b.onnx")
    bundle = tmp_path / "bug.zip"
    report = compare_and_repair(
        request(tmp_path, "a.onnx", "b.onnx", bundle=str(bundle), emulate=emulate)
    )
    assert report.first == first and report.bundle == str(bundle)
    assert bundle.stat().st_size < 1_000_000
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(tmp_path / "unpacked")
    facts = json.loads((tmp_path / "unpacked" / "bundle.json").read_text())
    assert facts["versions"]["onnxruntime"] and facts["operator"] in ("Conv", "MatMul", "Pow")
    check = [sys.executable, str(tmp_path / "unpacked" / "check.py")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert (done.returncode, "FAULT" in done.stdout) == (1, True), done.stderr
    # The same check passes once the part computes what A computes.
    model = onnx.load(tmp_path / "unpacked" / "model.onnx")
    if kind == "small":
        weight = model.graph.initializer[0]
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) / 2, weight.name))
        onnx.save(model, tmp_path / "mended.onnx")
        mended = subprocess.run(
            [*check, str(tmp_path / "mended.onnx")], capture_output=True, text=True, check=False
        )
        assert mended.returncode == 0, mended.stdout


def test_the_command_repairs(tmp_path: Path, stage: Callable[..., object]) -> None:
    samples(tmp_path)
    onnx.save(norm(900.0), tmp_path / "m.onnx")
    done = stage(
        "metrics/layers.py", tmp_path / "m.onnx", tmp_path / "m.onnx", "--info",
        tmp_path / "x.info", "--emulate", "fp16", "--repair", tmp_path / "out", "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # type: ignore[attr-defined]
    assert "the loss is gone" in done.stdout  # type: ignore[attr-defined]
