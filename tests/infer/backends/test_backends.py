"""Backends against each other, and what each refuses in one sentence."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.backend import LoadRequest, find
from portproof.core.errors import InputError, ToolError


def answers(backend: str, model: Path, feeds: dict[str, Any], **request: Any) -> dict[str, Any]:
    session = find(backend).load(model, LoadRequest(**request))
    try:
        return session.run(feeds)
    finally:
        session.close()


def test_openvino_reports_its_own_time_inside_that_of_the_call(tiny: Any) -> None:
    pytest.importorskip("openvino")
    feeds = {"image": np.stack([tiny.data["s0"]])}
    session = find("openvino").load(tiny.folder / "model.onnx", LoadRequest(threads=1))
    assert session.boundaries == ("device",)
    session.run(feeds)
    began = perf_counter()
    session.run(feeds)
    assert 0 < session.reported_s("device") <= perf_counter() - began
    session.close()


@pytest.mark.parametrize("backend", ["ort", "openvino"])
@pytest.mark.parametrize("batch", [1, 3])
def test_runtimes_of_onnx_files_answer_as_numpy_does(tiny: Any, backend: str, batch: int) -> None:
    if backend == "openvino":
        pytest.importorskip("openvino")
    feeds = {"image": np.stack([tiny.data[f"s{i}"] for i in range(batch)])}
    got = answers(backend, tiny.folder / "model.onnx", feeds, threads=1)
    expected = feeds["image"].reshape(batch, -1) @ tiny.weight
    np.testing.assert_allclose(got["class"], expected, rtol=1e-5, atol=1e-6)
    assert got["top"].tolist() == expected.argmax(1).tolist()
    assert got["top"].dtype == np.int64


def test_inductor_compiles_the_module_for_the_shapes_it_is_given(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiling itself takes a minute on a busy host, so it is replaced; what is asked for, and
    what runs, is not.
    """
    import torch

    torch.save(
        torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5)).state_dict(),
        tiny.folder / "w.pth",
    )
    asked: list[dict[str, Any]] = []

    def compiled(module: Any, **options: Any) -> Any:
        asked.append(options)
        return lambda x: 2 * module(x)

    monkeypatch.setattr(torch, "compile", compiled)
    feeds = {"image": np.stack(list(tiny.data.values()))}
    request = {"card": str(tiny.folder / "card.yaml"), "batch": 11}
    eager = answers("eager", tiny.folder / "w.pth", feeds, **request)
    inductor = answers(
        "inductor", tiny.folder / "w.pth", feeds, options={"mode": "max-autotune"}, **request
    )
    np.testing.assert_allclose(inductor["class"], 2 * eager["class"], rtol=1e-6)
    assert asked == [{"mode": "max-autotune", "dynamic": False}]


def test_eager_maps_outputs_by_name_and_order(tiny: Any) -> None:
    import torch

    card = tiny.folder / "card.yaml"
    card.write_text(card.read_text().replace("outputs: [", "outputs: [{name: twice, shape: [5]}, "))
    linear = torch.nn.Linear(12, 5)
    torch.save({"linear.weight": linear.weight, "linear.bias": linear.bias}, tiny.folder / "w.pth")
    source = """\
        import torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = torch.nn.Linear(12, 5)
            def forward(self, x):
                y = self.linear(x.flatten(1))
                return ANSWER
        def build():
            return Net()
        """.replace("\n        ", "\n").lstrip()
    feeds = {"image": np.stack(list(tiny.data.values()))}
    found = []
    for answer in ("(2 * y, y)", "{'class': y, 'twice': 2 * y, 'more': x}"):
        (tiny.folder / "tiny.py").write_text(source.replace("ANSWER", answer))
        found.append(answers("eager", tiny.folder / "w.pth", feeds, card=str(card)))
    for got in found:
        np.testing.assert_allclose(got["twice"], 2 * got["class"], rtol=1e-6)
    for answer, words in (("y", "answers 1 tensors"), ("{'class': y}", "an output 'twice'")):
        (tiny.folder / "tiny.py").write_text(source.replace("ANSWER", answer))
        with pytest.raises(InputError, match=words):
            answers("eager", tiny.folder / "w.pth", feeds, card=str(card))


def test_ort_says_what_it_runs_and_refuses_what_it_would_not_do(tiny: Any) -> None:
    model = tiny.folder / "model.onnx"
    session = find("ort").load(model, LoadRequest(precision="fp32", spinning=False))
    assert (session.provider, session.device, session.precision) == (
        "CPUExecutionProvider",
        "cpu",
        "fp32",
    )
    with pytest.raises(InputError, match="runs in fp32"):
        find("ort").load(model, LoadRequest(precision="fp16"))
    with pytest.raises(InputError, match="runs on cpu"):
        find("ort").load(model, LoadRequest(device="cuda:0"))
    with pytest.raises(InputError, match="no CANNExecutionProvider"):
        find("ort").load(model, LoadRequest(options={"provider": "cann"}))
    with pytest.raises(InputError, match="there is no provider 'x'"):
        find("ort").load(model, LoadRequest(options={"provider": "x"}))
    with pytest.raises(ToolError, match="ONNX Runtime failed"):
        session.run({"image": np.zeros((1, 3, 9, 9), np.float32)})


def test_a_half_precision_file_is_computed_in_single_precision_on_the_cpu(tiny: Any) -> None:
    weight = numpy_helper.from_array(np.ones((2, 2), np.float16), "w")
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, ["N", 2]) for n in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8),
        tiny.folder / "half.onnx",
    )
    session = find("ort").load(tiny.folder / "half.onnx", LoadRequest())
    assert session.inputs[0].dtype == session.outputs[0].dtype == "float16"
    assert session.precision == "fp32"


def test_openvino_calls_a_quantized_file_int8(tiny: Any) -> None:
    pytest.importorskip("openvino")
    from portproof.convert.precision.reduce import ReduceRequest, reduce

    model, small = tiny.folder / "model.onnx", tiny.folder / "int8.onnx"
    (tiny.folder / "list.info").write_text(
        "".join(f"{i} {tiny.folder}/prep/s{i}.bin 2 2\n" for i in range(11))
    )
    reduce(ReduceRequest(model, small, "int8", tiny.folder / "list.info"))
    assert {
        p: find("openvino").load(small, LoadRequest(precision=p)).precision for p in (None, "int8")
    } == {None: "int8", "int8": "int8"}
    for file, precision in ((model, "int8"), (small, "fp32")):
        with pytest.raises(InputError, match=f"{precision} was asked for"):
            find("openvino").load(file, LoadRequest(precision=precision))


@pytest.mark.parametrize(("opset", "ir_version"), [(99, 8), (11, 99)])
def test_a_file_too_new_for_the_runtime_is_one_sentence(
    tiny: Any, opset: int, ir_version: int
) -> None:
    model = onnx.load(tiny.folder / "model.onnx")
    model.opset_import[0].version, model.ir_version = opset, ir_version
    onnx.save(model, tiny.folder / "new.onnx")
    with pytest.raises(
        InputError, match=f"does not accept .*new.onnx' .opset {opset}, IR version {ir_version}"
    ) as caught:
        find("ort").load(tiny.folder / "new.onnx", LoadRequest())
    assert "\n" not in str(caught.value)


def test_null_needs_a_card_with_shapes(tiny: Any) -> None:
    card = tiny.folder / "card.yaml"
    got = answers(
        "null", Path("none"), {"image": np.zeros((4, 3, 2, 2), np.float32)}, card=str(card)
    )
    assert got["class"].shape == (4, 5)
    assert not got["class"].any()
    card.write_text(card.read_text().replace("name: class, shape: [5]", "name: class"))
    for request, words in (
        ({"card": str(card)}, "no shape for the output 'class'"),
        ({}, "--model"),
    ):
        with pytest.raises(InputError, match=words):
            find("null").load(Path("none"), LoadRequest(**request))
