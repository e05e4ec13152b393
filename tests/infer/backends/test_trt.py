"""The backend ``trt`` over a strict double of TensorRT 10 and 11 whose engines are ONNX models that
ONNX Runtime executes.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.backend import LoadRequest, find
from portproof.core.errors import InputError, ToolError
from portproof.infer.runtimes import gpu as gpus
from portproof.infer.runtimes.trt_engine import plan_version

IMAGE = (3, 4, 4)
Plan = Callable[..., Path]
PROFILE = {"image": [[1, *IMAGE], [4, *IMAGE], [8, *IMAGE]]}


def reference(model: Path, feeds: dict[str, Any]) -> dict[str, Any]:
    session = find("ort").load(model, LoadRequest())
    return session.run(feeds)


def random(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("graph", ["off", "on"])
def test_it_answers_what_the_model_answers_at_every_batch_of_its_profile(
    plan: Plan, tiny_onnx: Path, double: Any, graph: str
) -> None:
    engine = plan(tiny_onnx, profiles=[PROFILE])
    session = find("trt").load(engine, LoadRequest(batch=4, options={"graph": graph}))
    assert [s.shape for s in session.inputs] == [(None, *IMAGE)]
    for batch, seed in ((4, 0), (4, 1), (8, 2), (1, 3), (4, 4)):
        feeds = {"image": random((batch, *IMAGE), seed)}
        np.testing.assert_array_equal(
            session.run(feeds)["class"], reference(tiny_onnx, feeds)["class"]
        )
    assert ("cudaGraphLaunch" in double.history) == (graph == "on")
    session.close()
    assert not double.device_memory
    assert not double.locked_memory
    assert not double.streams


@pytest.mark.parametrize("package", ["torch", "pycuda"])
def test_other_packages_hold_the_buffers_too(
    plan: Plan,
    tiny_onnx: Path,
    tmp_path: Path,
    double: Any,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
) -> None:
    doubles = importlib.import_module("torch_double")
    for name, module in (
        {"torch": doubles.torch_module()} if package == "torch" else doubles.pycuda_modules()
    ).items():
        monkeypatch.setitem(sys.modules, name, module)
    for graph in ("off", "on") if package == "torch" else ("off",):
        session = find("trt").load(
            plan(tiny_onnx, profiles=[PROFILE]),
            LoadRequest(options={"graph": graph, "buffers": package}),
        )
        for batch, seed in ((1, 0), (8, 1), (1, 2)):
            feeds = {"image": random((batch, *IMAGE), seed)}
            np.testing.assert_array_equal(
                session.run(feeds)["class"], reference(tiny_onnx, feeds)["class"]
            )
            assert 0 < session.reported_s("device") < session.reported_s("device+copies")
        assert session.provider is not None
        assert f"buffers by {package}" in session.provider
        session.close()
    engine = plan(
        positions(tmp_path), profiles=[{"x": [[1, 4], [2, 4], [4, 4]]}], data_dependent=["where"]
    )
    session = find("trt").load(engine, LoadRequest(batch=2, options={"buffers": package}))
    assert session.run({"x": np.float32([[0, 1, 0, 2], [3, 0, 0, 0]])})["where"].tolist() == [
        [0, 0, 1],
        [1, 3, 0],
    ]
    session.close()


def test_pycuda_has_no_graphs(
    plan: Plan, tiny_onnx: Path, double: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, module in importlib.import_module("torch_double").pycuda_modules().items():
        monkeypatch.setitem(sys.modules, name, module)
    session = find("trt").load(
        plan(tiny_onnx, profiles=[PROFILE]),
        LoadRequest(options={"graph": "on", "buffers": "pycuda"}),
    )
    with pytest.raises(InputError, match="CUDA graphs need the buffers of torch or cuda-python"):
        session.run({"image": random((1, *IMAGE))})


def test_results_stay_when_the_next_batch_is_run_and_when_the_session_is_closed(
    plan: Plan, tiny_onnx: Path
) -> None:
    session = find("trt").load(plan(tiny_onnx, profiles=[PROFILE]), LoadRequest())
    feeds = {"image": random((1, *IMAGE))}
    first = session.run(feeds)["class"]
    session.run({"image": random((1, *IMAGE), 9)})
    session.close()
    np.testing.assert_array_equal(first, reference(tiny_onnx, feeds)["class"])


def test_events_enclose_the_engine_and_then_the_copies_too(
    plan: Plan, tiny_onnx: Path, double: Any
) -> None:
    session = find("trt").load(plan(tiny_onnx, profiles=[PROFILE]), LoadRequest())
    assert session.boundaries == ("device", "device+copies")
    session.run({"image": random((1, *IMAGE))})
    assert double.history == ["cudaMemcpyHostToDevice", "execute", "cudaMemcpyDeviceToHost"]
    assert 0 < session.reported_s("device") < session.reported_s("device+copies")
    assert session.provider is not None
    assert session.provider.endswith("buffers by cuda-python")


def test_several_inputs_and_outputs_of_several_types(plan: Plan, two_input_onnx: Path) -> None:
    kept = onnx.load(two_input_onnx)
    del kept.graph.node[-1], kept.graph.output[-1]  # TensorRT has no double
    model = two_input_onnx.with_name("no_double.onnx")
    onnx.save(kept, model)
    profile = {"x": [[1, 4], [2, 4], [4, 4]], "y": [[1, 1], [2, 1], [4, 1]]}
    session = find("trt").load(plan(model, profiles=[profile]), LoadRequest(batch=2))
    feeds = {"x": random((2, 4)), "y": np.array([[3], [-4]])}
    answers, expected = session.run(feeds), reference(model, feeds)
    assert {n: a.dtype.name for n, a in answers.items()} == {
        "total": "float32",
        "half": "float16",
        "twice": "int64",
        "more": "bool",
    }
    for name, array in expected.items():
        np.testing.assert_array_equal(answers[name], array)


def positions(folder: Path) -> Path:
    """x [n, 4] to where it is not zero, [2, any], and to its double: one output whose shape depends
    on the data, one that does not.
    """
    nodes = [
        helper.make_node("NonZero", ["x"], ["where"]),
        helper.make_node("Mul", ["x", "two"], ["twice"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])]
    outputs = [
        helper.make_tensor_value_info("where", TensorProto.INT64, [2, "k"]),
        helper.make_tensor_value_info("twice", TensorProto.FLOAT, ["n", 4]),
    ]
    graph = helper.make_graph(
        nodes, "g", inputs, outputs, [numpy_helper.from_array(np.float32([2]), "two")]
    )
    path = folder / "positions.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    return path


def test_an_output_whose_shape_depends_on_the_data(plan: Plan, tmp_path: Path) -> None:
    model = positions(tmp_path)
    engine = plan(model, profiles=[{"x": [[1, 4], [2, 4], [4, 4]]}], data_dependent=["where"])
    session = find("trt").load(engine, LoadRequest(batch=2))
    assert session.boundaries == ("device",)
    for x in (
        [[0, 1, 0, 2], [0, 0, 0, 0]],
        [[1, 1, 1, 1], [2, 0, 2, 2]],
        [[0, 0, 0, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 5]],
    ):
        feeds = {"x": np.float32(x)}
        answers, expected = session.run(feeds), reference(model, feeds)
        np.testing.assert_array_equal(answers["where"], expected["where"])
        np.testing.assert_array_equal(answers["twice"], expected["twice"])
        assert session.reported_s("device") > 0
    with pytest.raises(
        InputError, match=r"'where' has a shape that depends on the data.* CUDA graph"
    ):
        find("trt").load(engine, LoadRequest(batch=2, options={"graph": "on"}))


def test_the_profile_made_for_the_batch_is_taken(plan: Plan, tiny_onnx: Path) -> None:
    def of(low: int, best: int, high: int) -> dict[str, Any]:
        return {"image": [[n, *IMAGE] for n in (low, best, high)]}

    engine = plan(tiny_onnx, profiles=[of(1, 1, 8), of(8, 8, 8), of(16, 16, 32)])
    chosen = {
        b: find("trt").load(engine, LoadRequest(batch=b))._context.active_optimization_profile
        for b in (1, 4, 8, 20)
    }
    assert chosen == {1: 0, 4: 0, 8: 1, 20: 2}
    with pytest.raises(
        InputError, match=r"batches of 1 to 8, 8 to 8, 16 to 32, --batch asks for 9"
    ):
        find("trt").load(engine, LoadRequest(batch=9))


def test_an_engine_for_one_batch_has_a_fixed_batch(plan: Plan, tiny_onnx: Path) -> None:
    session = find("trt").load(
        plan(tiny_onnx, profiles=[{"image": [[4, *IMAGE]] * 3}]), LoadRequest(batch=4)
    )
    assert session.inputs[0].shape == (4, *IMAGE)


def test_a_shape_outside_the_profile_is_one_sentence(plan: Plan, tiny_onnx: Path) -> None:
    session = find("trt").load(plan(tiny_onnx, profiles=[PROFILE]), LoadRequest())
    with pytest.raises(
        InputError, match=r"does not take the shape \(9, 3, 4, 4\) for input 'image'"
    ):
        session.run({"image": random((9, *IMAGE))})
    assert session.run({"image": random((2, *IMAGE))})["class"].shape == (2, 10)


def test_an_engine_built_elsewhere_names_both_versions_and_capabilities(
    plan: Plan, tiny_onnx: Path, version: str
) -> None:
    old = plan(tiny_onnx, version="8.6.1", profiles=[PROFILE])
    with pytest.raises(InputError) as caught:
        find("trt").load(old, LoadRequest())
    assert "was built by TensorRT 8.6.1.0" in str(caught.value)
    assert f"in TensorRT {version} on a GPU of compute capability 7.5" in str(caught.value)
    other = plan(tiny_onnx, compute_capability="9.0", profiles=[PROFILE])
    with pytest.raises(
        InputError, match=r"expecting compute 9\.0 got compute 7\.5.*build it again"
    ):
        find("trt").load(other, LoadRequest())


def test_version_compatible_plans_run_only_when_asked_for(plan: Plan, tiny_onnx: Path) -> None:
    engine = plan(tiny_onnx, version="10.3.0", version_compatible=True, profiles=[PROFILE])
    with pytest.raises(InputError, match="version_compatible=on"):
        find("trt").load(engine, LoadRequest())
    session = find("trt").load(engine, LoadRequest(options={"version_compatible": "on"}))
    assert session.run({"image": random((1, *IMAGE))})["class"].shape == (1, 10)


@pytest.mark.parametrize(
    ("kinds", "precision"),
    [
        (["Float"], "fp32"),
        (["Float", "Half"], "fp16"),
        (
            ["Row major linear FP32", "Thirty-two wide channel vectorized row major Int8 format"],
            "int8",
        ),
        (["Channel major FP16 format where channel % 8 == 0"], "fp16"),
        (["BFloat16", "Float"], "bf16"),
    ],
)
def test_the_precision_is_what_the_layers_compute_in(
    plan: Plan, tiny_onnx: Path, kinds: list[str], precision: str
) -> None:
    layers = [
        {"Name": f"l{i}", "Outputs": [{"Name": "t", "Format/Datatype": kind}]}
        for i, kind in enumerate(kinds)
    ]
    engine = plan(tiny_onnx, profiles=[PROFILE], layers=layers)
    assert find("trt").load(engine, LoadRequest()).precision == precision
    with pytest.raises(InputError, match=f"computes in {precision}"):
        find("trt").load(engine, LoadRequest(precision="fp8"))


def test_a_real_layer_list_tells_the_precision(plan: Plan, tiny_onnx: Path, shared: Path) -> None:
    real = json.loads(
        (shared / "samples/trtexec_help/sample_exportLayerInfo_10.16.json").read_text(),
        strict=False,
    )
    assert (
        find("trt")
        .load(plan(tiny_onnx, profiles=[PROFILE], layers=real["Layers"]), LoadRequest())
        .precision
        == "fp32"
    )
    assert (
        find("trt").load(plan(tiny_onnx, profiles=[PROFILE]), LoadRequest()).precision == "unknown"
    )


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"device": "cpu"}, "runs on an NVIDIA GPU"),
        ({"threads": 2}, "no --threads"),
        ({"device": "cuda:3"}, "no package here can use CUDA device 3"),
        ({"options": {"graph": "yes"}}, "the option graph is 'yes'"),
        ({"options": {"buffers": "numpy"}}, "there are torch, cuda-python, pycuda"),
        ({"options": {"streams": "2"}}, "no option 'streams'"),
    ],
)
def test_what_it_cannot_do_is_said(
    plan: Plan, tiny_onnx: Path, request_: dict[str, Any], words: str
) -> None:
    engine = plan(tiny_onnx, profiles=[PROFILE])
    with pytest.raises(InputError, match=words):
        find("trt").load(engine, LoadRequest(**request_))


def test_engines_that_cannot_be_run_here(plan: Plan, tiny_onnx: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no memory for the engine"):
        find("trt").load(plan(tiny_onnx, profiles=[PROFILE], memory=False), LoadRequest())
    with pytest.raises(InputError, match="'class' is BF16, which numpy does not have"):
        find("trt").load(
            plan(tiny_onnx, profiles=[PROFILE], dtypes={"class": "BF16"}), LoadRequest()
        )
    with pytest.raises(InputError, match="'image' is a shape"):
        find("trt").load(plan(tiny_onnx, profiles=[PROFILE], on_host=["image"]), LoadRequest())
    with pytest.raises(InputError, match="is not a TensorRT engine"):
        find("trt").load(shutil.copy(tiny_onnx, tmp_path / "x.plan"), LoadRequest())


def test_without_tensorrt_or_with_an_old_one_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "model.plan").write_bytes(b"ftrt")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(InputError, match=r"pip install 'portproof\[trt\]'"):
        find("trt").load(tmp_path / "model.plan", LoadRequest())
    old = type(os)("tensorrt")
    old.__version__ = "8.6.1"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(InputError, match=r"drives TensorRT 10 and 11 from Python, this is 8\.6\.1"):
        find("trt").load(tmp_path / "model.plan", LoadRequest())


def test_without_a_gpu_every_package_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(InputError, match=r"torch: it sees 0 CUDA devices.*pycuda: not installed"):
        gpus.open_gpu(0)


def test_the_version_of_a_plan() -> None:
    assert plan_version(b"ftrt" + bytes(20) + bytes([11, 1, 0, 4])) == "11.1.0.4"
    assert plan_version(b"ftrt" + bytes([1, 0, 0, 0]) + bytes(20)) is None
    assert plan_version(b"ftrt") is None
