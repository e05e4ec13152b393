"""int8 and fp16 files: their form, that they load, and how far they are from what they were made
from.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.convert.onnxfile import save
from portproof.convert.precision.reduce import ReduceRequest, reduce
from portproof.core.errors import InputError, ToolError


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with ``model.onnx`` (opset 11: convolution, ReLU, mean, Gemm) and twenty samples in
    ``prep.info``.
    """
    rng = np.random.default_rng(2)
    weights = {
        "w1": rng.normal(size=(6, 3, 3, 3)),
        "b1": rng.normal(size=6),
        "w2": rng.normal(size=(5, 6)),
        "b2": rng.normal(size=5),
    }
    weights["w1"][0] *= 50  # one channel of another scale: per-tensor scales would lose the others
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c"], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w2", "b2"], ["class"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6),
        tmp_path / "model.onnx",
    )
    (tmp_path / "prep").mkdir()
    for i in range(20):
        rng.normal(size=(3, 8, 8)).astype(np.float32).tofile(tmp_path / f"prep/s{i}.bin")
    (tmp_path / "prep.info").write_text("".join(f"{i} prep/s{i}.bin 8 8\n" for i in range(20)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(model: Path, x: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"]).run(
        None, {"image": x}
    )[0]


def images(folder: Path) -> Any:
    return np.stack(
        [np.fromfile(folder / f"prep/s{i}.bin", np.float32).reshape(3, 8, 8) for i in range(20)]
    )


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_int8_is_symmetric_a_scale_a_channel_and_close(small: Path, method: str) -> None:
    proof = reduce(
        ReduceRequest(
            small / "model.onnx",
            small / "int8.onnx",
            "int8",
            Path("prep.info"),
            samples=10,
            method=method,
        )
    )
    model = onnx.load(small / "int8.onnx")
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    onnx.checker.check_model(model, full_check=True)
    constants = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    quantizers = [n for n in model.graph.node if n.op_type == "QuantizeLinear"]
    assert quantizers
    assert all(not constants[n.input[2]].any() for n in quantizers), "a zero point is not zero"
    assert all(constants[n.input[2]].dtype == np.int8 for n in quantizers)
    assert any(constants[n.input[1]].size == 6 for n in quantizers), (
        "the convolution's weight has one scale for all channels"
    )
    x = images(small)
    before, after = answers(small / "model.onnx", x), answers(small / "int8.onnx", x)
    assert 0 < np.abs(before - after).max() < 0.05 * np.ptp(before)
    assert proof.facts["samples"] == 10
    assert proof.facts["difference"]["absolute"] == pytest.approx(
        np.abs(before - after)[::2][:8].max(), rel=0.2
    )


def test_entropy_cuts_a_rare_outlier_that_minmax_keeps(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outlier = np.fromfile("prep/s0.bin", np.float32)
    outlier[0] = 40
    outlier.tofile("prep/s0.bin")
    scales = {}
    for method in ("minmax", "entropy"):
        out = small / f"{method}.onnx"
        reduce(ReduceRequest(small / "model.onnx", out, "int8", Path("prep.info"), 20, method))
        model = onnx.load(out)
        constants = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
        first = next(n for n in model.graph.node if n.input[0] == "image")
        scales[method] = float(constants[first.input[1]])
    assert scales["minmax"] == pytest.approx(40 / 127, rel=0.01)
    assert scales["entropy"] < scales["minmax"] / 2
    assert capsys.readouterr().out == ""


def test_a_reader_of_headers_calls_them_int8_and_fp16(small: Path) -> None:
    from portproof.convert.onnxfile.read import read_onnx

    reduce(ReduceRequest(small / "model.onnx", small / "int8.onnx", "int8", Path("prep.info")))
    reduce(ReduceRequest(small / "model.onnx", small / "half.onnx", "fp16"))
    assert read_onnx(small / "int8.onnx").quantized
    assert read_onnx(small / "half.onnx").half


def test_fp16_is_sorted_valid_and_keeps_its_inputs_and_outputs(small: Path) -> None:
    proof = reduce(ReduceRequest(small / "model.onnx", small / "half.onnx", "fp16"))
    model = onnx.load(small / "half.onnx")
    onnx.checker.check_model(model, full_check=True)
    known = {"image", "", *(w.name for w in model.graph.initializer)}
    for node in model.graph.node:
        assert set(node.input) <= known
        known |= set(node.output)
    assert (
        model.graph.input[0].type.tensor_type.elem_type
        == model.graph.output[0].type.tensor_type.elem_type
        == TensorProto.FLOAT
    )
    assert {w.data_type for w in model.graph.initializer} == {TensorProto.FLOAT16}
    x = images(small)
    before, after = answers(small / "model.onnx", x), answers(small / "half.onnx", x)
    assert np.abs(before - after).max() < 0.005 * np.ptp(before)
    assert proof.facts["opset"] == 11


def test_a_weight_that_fp16_cannot_hold_is_refused(small: Path) -> None:
    model = onnx.load(small / "model.onnx")
    for i, weight in enumerate(model.graph.initializer):
        if weight.name in ("w1", "w2"):
            model.graph.initializer[i].CopyFrom(
                numpy_helper.from_array(np.abs(numpy_helper.to_array(weight)) * 3e4, weight.name)
            )
    onnx.save(model, small / "large.onnx")
    with pytest.raises(
        ToolError,
        match=(
            r"float16 ends at 65504, and \d tensors of .*large.onnx' go beyond it, the first is 'c'"
        ),
    ):
        reduce(ReduceRequest(small / "large.onnx", small / "half.onnx", "fp16"))
    assert not (small / "half.onnx").exists()


def test_a_range_that_only_arithmetic_in_float16_leaves_is_refused(small: Path) -> None:
    """ONNX Runtime's processor provider computes the middle in float32, so the file's outputs are
    right there, and infinite on a GPU.
    """
    nodes = [
        ("Mul", ["image", "k"], ["a"]),
        ("Mul", ["a", "k"], ["b"]),
        ("Mul", ["b", "back"], ["class"]),
    ]
    save_model(small / "range.onnx", nodes, k=np.float32(1000), back=np.float32(1e-6))
    with pytest.raises(ToolError, match="the first is 'b'"):
        reduce(ReduceRequest(small / "range.onnx", small / "half.onnx", "fp16"))
    assert not list(small.glob("*half*"))
    for sample in small.glob("prep/*.bin"):  # the model is fit for what is small
        (np.fromfile(sample, np.float32) * 1e-3).tofile(sample)
    reduce(ReduceRequest(small / "range.onnx", small / "half.onnx", "fp16", Path("prep.info")))


def test_masks_of_minus_infinity_are_no_overflow(small: Path) -> None:
    nodes = [
        ("Greater", ["image", "zero"], ["keep"]),
        ("Where", ["keep", "image", "never"], ["masked"]),
        ("Softmax", ["masked"], ["class"]),
    ]
    save_model(small / "mask.onnx", nodes, zero=np.float32(0), never=np.float32(-np.inf))
    reduce(ReduceRequest(small / "mask.onnx", small / "half.onnx", "fp16"))


def test_outputs_are_not_rounded_to_eight_bits(small: Path) -> None:
    reduce(ReduceRequest(small / "model.onnx", small / "int8.onnx", "int8", Path("prep.info")))
    model = onnx.load(small / "int8.onnx")
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    assert makers["class"] == "Gemm"
    read = {name for node in model.graph.node for name in node.input}
    assert {w.name for w in model.graph.initializer} <= read


def test_an_output_that_is_read_on_stays_an_output(small: Path) -> None:
    nodes = [
        ("Reshape", ["image", "flat"], ["f"]),
        ("MatMul", ["f", "w"], ["class"]),
        ("MatMul", ["class", "v"], ["more"]),
    ]
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(192, 5)).astype(np.float32),
        "v": rng.normal(size=(5, 4)).astype(np.float32),
        "flat": np.array([0, -1]),
    }
    save_model(small / "two.onnx", nodes, ("class", "more"), **weights)
    proof = reduce(
        ReduceRequest(small / "two.onnx", small / "int8.onnx", "int8", Path("prep.info"))
    )
    assert [v.name for v in onnx.load(small / "int8.onnx").graph.output] == ["class", "more"]
    assert proof.facts["difference"]["relative"] < 0.2


def test_samples_are_spread_over_the_whole_list(small: Path) -> None:
    proof = reduce(
        ReduceRequest(
            small / "model.onnx", small / "int8.onnx", "int8", Path("prep.info"), samples=13
        )
    )
    used = [int(Path(r.path).stem.removeprefix("s")) for r in proof.inputs["samples"]]
    assert len(used) == 13
    assert used == sorted(used)
    assert (used[0], used[-1]) == (0, 18)


def test_a_fixed_batch_is_calibrated_too(small: Path) -> None:
    model = onnx.load(small / "model.onnx")
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(model, small / "four.onnx")
    reduce(ReduceRequest(small / "four.onnx", small / "int8.onnx", "int8", Path("prep.info")))
    assert answers(small / "int8.onnx", images(small)[:4]).shape == (4, 5)


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_a_model_over_2_gb_keeps_its_tensors_beside_it(
    small: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    nodes = [("Reshape", ["image", "flat"], ["f"]), ("MatMul", ["f", "w"], ["class"])]
    weights = np.random.default_rng(0).normal(size=(192, 50)).astype(np.float32)
    save_model(small / "inside.onnx", nodes, opset=13, w=weights, flat=np.array([0, -1]))
    onnx.save_model(
        onnx.load(small / "inside.onnx"),
        str(small / "big.onnx"),
        save_as_external_data=True,
        location="big.onnx.data",
    )
    monkeypatch.setattr(save, "LARGEST_FILE", 5000)
    proof = reduce(
        ReduceRequest(Path("big.onnx"), Path("out/small.onnx"), precision, Path("prep.info"))
    )
    assert [r.path for r in proof.outputs] == ["small.onnx", "small.onnx.data"]
    assert [r.path for r in proof.inputs["model"]] == [
        str(small / "big.onnx"),
        str(small / "big.onnx.data"),
    ]
    assert sorted(p.name for p in Path("out").iterdir()) == [
        "small.onnx",
        "small.onnx.data",
        "small.onnx.proof.json",
    ]
    x = images(small)
    before, after = answers(small / "inside.onnx", x), answers(Path("out/small.onnx"), x)
    assert np.abs(before - after).max() < 0.05 * np.ptp(before)


def save_model(
    path: Path, nodes: Any, outputs: tuple[str, ...] = ("class",), opset: int = 11, **constants: Any
) -> None:
    """An ONNX file of nodes (operator, inputs, outputs) from ``image`` to ``class``."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 8, 8])
    made = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes], "g", [image], made, weights
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7), path
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "give their info list with --info"),
        ({"precision": "fp8"}, "int8 or fp16"),
        ({"out": Path("model.onnx"), "precision": "fp16"}, "another file"),
        ({"out": Path("model.bin"), "precision": "fp16"}, "end in .onnx"),
        ({"info": Path("short.info")}, r"holds 10 values of float32, input 'image' takes 192"),
        ({"info": Path("two.info")}, "has 2 files"),
    ],
)
def test_requests_that_cannot_be_met(small: Path, changes: dict[str, Any], words: str) -> None:
    np.zeros(10, np.float32).tofile("prep/short.bin")
    Path("short.info").write_text("0 prep/short.bin 8 8\n")
    Path("two.info").write_text("0 prep/s0.bin 8 8\n0 prep/s1.bin 8 8\n")
    given: dict[str, Any] = {
        "model": Path("model.onnx"),
        "out": Path("int8.onnx"),
        "precision": "int8",
    } | changes
    with pytest.raises(InputError, match=words):
        reduce(ReduceRequest(**given))
    assert not Path("int8.onnx").exists()


def test_from_outside_it_does_nothing_the_second_time(small: Path, stage: Any) -> None:
    command = ("convert/quantize.py", "model.onnx", "half.onnx", "--precision", "fp16")
    first = stage(*command, cwd=small)
    assert first.returncode == 0, first.stderr
    second = stage(*command, cwd=small)
    assert "up to date" in second.stderr
    again = stage(
        "convert/quantize.py", "half.onnx", "again.onnx", "--precision", "fp16", cwd=small
    )
    assert again.returncode == 2
    assert "of lower precision already" in again.stderr


@pytest.mark.parametrize("precision", ["int8", "fp16"])
def test_the_bytes_are_the_same_in_every_process_and_after_a_kill(
    small: Path, root: Path, precision: str
) -> None:
    def command(out: str) -> list[str]:
        words = ["quantize.py", "model.onnx", out, "--precision", precision, "--info", "prep.info"]
        return [sys.executable, str(root / "convert" / words[0]), *words[1:]]

    files = [small / f"{seed}.onnx" for seed in (1, 2)]
    for seed, file in enumerate(files):  # the order of sets of strings follows this seed
        environment = os.environ | {"PYTHONHASHSEED": str(seed)}
        subprocess.run(command(file.name), env=environment, check=True, timeout=120)
    for number in range(3, 13):  # until one is killed before it is done
        files.append(small / f"{number}.onnx")
        process = subprocess.Popen(command(files[-1].name))
        while not list(small.glob(f".{number}.onnx.*.tmp/scratch")) and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        if process.wait(timeout=60) == -signal.SIGKILL:
            break
    assert process.returncode == -signal.SIGKILL and not files[-1].exists()
    subprocess.run(command(files[-1].name), check=True, timeout=120)
    assert len({p.read_bytes() for p in files}) == 1
    assert not list(small.glob(".*"))
