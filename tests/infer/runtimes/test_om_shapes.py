"""The backend ``om`` with models of dynamic image size, dimensions and shape, and the reasons that
the library prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.backend import LoadRequest
from portproof.core.errors import InputError, ToolError
from portproof.infer.backends import om
from portproof.infer.runtimes.acl_lines import kept_from_stdout, reason_in
from portproof.rehearsal.device import aclruntime as double
from portproof.rehearsal.om import write_om

_SOC = "Ascend310P3"


@pytest.fixture(autouse=True)
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aclruntime", double)
    monkeypatch.setenv("PORTPROOF_REHEARSAL", "1")


def value(name: str, kind: int, *shape: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``conv.onnx``, fully convolutional, as hw.om, dims.om, shape.om; ``pair.onnx``, two inputs in
    an order that is not the alphabet's, as pair.om; ``mean.onnx`` with an output that has no batch,
    as mean.om.
    """
    folder = tmp_path_factory.mktemp("shapes")
    kernel = numpy_helper.from_array(
        np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32), "k"
    )
    image = value("image", TensorProto.FLOAT, "b", 3, "h", "w")
    save(
        folder / "conv.onnx",
        [helper.make_node("Conv", ["image", "k"], ["y"], pads=[1, 1, 1, 1], name="/conv")],
        [image],
        [value("y", TensorProto.FLOAT, "b", 4, "h", "w")],
        [kernel],
    )
    free = {"image": (-1, 3, -1, -1)}
    write_om(
        folder / "conv.onnx",
        folder / "hw.om",
        _SOC,
        {"image": (2, 3, -1, -1)},
        kind="hw",
        gears=[[8, 8], [16, 12]],
        half=False,
    )
    write_om(
        folder / "conv.onnx",
        folder / "dims.om",
        _SOC,
        free,
        kind="dims",
        gears=[[1, 3, 8, 8], [4, 3, 16, 12]],
        half=False,
    )
    write_om(folder / "conv.onnx", folder / "shape.om", _SOC, free, kind="shape", half=False)
    save(
        folder / "pair.onnx",
        [
            helper.make_node("ReduceSum", ["z"], ["s"], axes=[1], name="/s"),
            helper.make_node("Add", ["s", "a"], ["y"], name="/y"),
        ],
        [value("z", TensorProto.FLOAT, "b", "n"), value("a", TensorProto.FLOAT, "b", 1)],
        [value("y", TensorProto.FLOAT, "b", 1)],
    )
    write_om(
        folder / "pair.onnx",
        folder / "pair.om",
        _SOC,
        {"z": (-1, -1), "a": (-1, 1)},
        kind="dims",
        gears=[[2, 5, 2, 1], [3, 7, 3, 1]],
        half=False,
    )
    return folder


def save(
    path: Path,
    nodes: list[Any],
    inputs: list[Any],
    outputs: list[Any],
    weights: list[Any] | None = None,
) -> None:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights or [])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8),
        str(path),
    )


def images(*shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("file", "options", "shape"),
    [
        ("hw.om", {"hw": "8,8"}, (2, 3, 8, 8)),
        ("hw.om", {"hw": "16,12"}, (2, 3, 16, 12)),
        ("dims.om", {"dims": "image:4,3,16,12"}, (4, 3, 16, 12)),
        (
            "shape.om",
            {"shape": "image:3,3,10,20", "outsize": str(4 * 3 * 4 * 10 * 20)},
            (3, 3, 10, 20),
        ),
    ],
)
def test_what_is_chosen_is_what_runs(
    models: Path, file: str, options: dict[str, str], shape: tuple[int, ...]
) -> None:
    session = om.load(models / file, LoadRequest(shape[0], options=options))
    assert session.inputs[0].shape == shape
    batch = images(*shape)
    (expected,) = onnxruntime.InferenceSession(str(models / "conv.onnx")).run(
        None, {"image": batch}
    )
    np.testing.assert_array_equal(session.run({"image": batch})["y"], expected)


@pytest.mark.parametrize("dims", ["z:3,7;a:3,1", "a:3,1;z:3,7", " a:3,1; z:3,7"])
def test_dimensions_are_given_to_the_library_in_the_order_of_the_inputs(
    models: Path, dims: str
) -> None:
    session = om.load(models / "pair.om", LoadRequest(3, options={"dims": dims}))
    feeds = {"a": images(3, 1), "z": images(3, 7)}
    (expected,) = onnxruntime.InferenceSession(str(models / "pair.onnx")).run(None, feeds)
    np.testing.assert_array_equal(session.run(feeds)["y"], expected)


@pytest.mark.parametrize(
    ("file", "request_", "message"),
    [
        (
            "hw.om",
            LoadRequest(2, options={"hw": "12,16"}),
            r"\[1\]\[ACL: invalid parameter\]: it is not one of those that it was converted with",
        ),
        ("hw.om", LoadRequest(2, options={"hw": "8"}), "the option hw is '8', 2 whole numbers"),
        (
            "hw.om",
            LoadRequest(2),
            (
                "several dynamic dimensions; choose them with --option dims=NAME:D,D,... or"
                " hw=HEIGHT,WIDTH"
            ),
        ),
        ("dims.om", LoadRequest(1, options={"hw": "8,8"}), r"\[1\]\[ACL: invalid parameter\]"),
        (
            "pair.om",
            LoadRequest(3, options={"dims": "b:3,7;a:3,1"}),
            r"refused the batch, dimensions or shape asked for: \[-1\]",
        ),
        (
            "shape.om",
            LoadRequest(1),
            "takes any shape of its range; choose one with --option shape=",
        ),
        (
            "shape.om",
            LoadRequest(1, options={"shape": "picture:1,3,8,8"}),
            "the option shape names 'picture', the model's inputs are image",
        ),
        (
            "shape.om",
            LoadRequest(1, options={"shape": "image:1,4,8,8"}),
            r"has the shape \(None, 3, None, None\) .*, \(1, 4, 8, 8\) was asked for",
        ),
        (
            "shape.om",
            LoadRequest(1, options={"shape": "image:1,3,8"}),
            r"\(1, 3, 8\) was asked for",
        ),
        (
            "shape.om",
            LoadRequest(1, options={"shape": "image:1,x"}),
            "the option shape is '1,x', some whole numbers",
        ),
    ],
)
def test_what_cannot_be_chosen(
    models: Path, file: str, request_: LoadRequest, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        om.load(models / file, request_)


def test_outputs_whose_size_cannot_be_told_need_it(models: Path) -> None:
    session = om.load(models / "shape.om", LoadRequest(1, options={"shape": "image:1,3,8,8"}))
    with pytest.raises(
        InputError, match=r"the size of output 'y' does not follow .*--option outsize=N,N"
    ):
        session.run({"image": images(1, 3, 8, 8)})
    session = om.load(
        models / "shape.om", LoadRequest(1, options={"shape": "image:1,3,8,8", "outsize": "4"})
    )
    with pytest.raises(ToolError, match="failed while it ran"):
        session.run({"image": images(1, 3, 8, 8)})


def infer(root: Path, models: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``infer/run.py`` as a user runs it, over one sample, with the simulated library where the
    real one is found.
    """
    np.zeros((3, 8, 8), np.float32).tofile(models / "s.bin")
    (models / "s.info").write_text("0 s.bin 8 8\n")
    (models / "python").mkdir(exist_ok=True)
    (models / "python" / "aclruntime.py").write_text(
        "import sys\nfrom portproof.rehearsal.device import aclruntime\nsys.modules[__name__] ="
        " aclruntime\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{models / 'python'}{os.pathsep}{root / 'src'}"}
    command = [
        sys.executable,
        str(root / "infer" / "run.py"),
        *arguments,
        "--info",
        "s.info",
        "--out",
        "r",
    ]
    return subprocess.run(
        command,
        cwd=models,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_reason_that_the_library_prints_is_in_the_sentence_and_nothing_else_on_stdout(
    root: Path, models: Path
) -> None:
    done = infer(root, models, "dims.om", "--batch", "2", "--option", "dims=image:2,3,8,8")
    assert (done.returncode, done.stdout) == (2, "")
    (error,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert (
        "(aclruntime: the dynamic_dims parameter is not correct; model has 2 gear of dims;"
        " dims[0]:[1][3][8][8]; dims[1]:[4][3][16][12]; " in error
    )


def test_an_output_without_a_batch_cannot_be_cut_into_samples(root: Path, models: Path) -> None:
    nodes = [helper.make_node("ReduceMean", ["image"], ["mean"], keepdims=0, name="/mean")]
    save(
        models / "mean.onnx",
        nodes,
        [value("image", TensorProto.FLOAT, "b", 3, 8, 8)],
        [value("mean", TensorProto.FLOAT)],
    )
    write_om(models / "mean.onnx", models / "mean.om", _SOC, {"image": (1, 3, 8, 8)})
    for model in ("mean.om", "mean.onnx"):
        done = infer(root, models, model, "--batch", "1")
        assert done.returncode == 2
        assert (
            "output 'mean' has the shape () for a batch of 1: its first dimension is not the batch"
            in done.stderr
        )


def test_what_is_printed_is_kept_from_stdout(capfd: pytest.CaptureFixture[str]) -> None:
    with kept_from_stdout() as lines:
        os.write(1, b"[INFO] one\n")
        os.write(1, b"[ERROR] two\n")
    os.write(1, b"three\n")
    assert lines == ["[INFO] one", "[ERROR] two"]
    assert reason_in(lines) == "two"
    assert capfd.readouterr().out == "three\n"


def test_a_long_reason_is_cut() -> None:
    assert len(reason_in([f"[ERROR] dims[{k}]:[1][3][224][224]" for k in range(100)])) < 410
