"""The backend ``ort`` on execution providers that this host lacks: which one really serves the
model is asked, and said.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from portproof.backend import LoadRequest, Session, find
from portproof.core.errors import ToolError

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"
ALL = [CUDA, "TensorrtExecutionProvider", OPENVINO, "CANNExecutionProvider", CPU]
Load = Callable[..., Session]


class Plain:
    """A session of a version before 1.24: it names its providers, and nothing more."""

    real = onnxruntime.InferenceSession
    #: What was asked for: the provider's settings, and the entries of the session's options.
    settings: dict[str, str]
    entries: dict[str, str]
    #: What is answered: the providers (those asked for when empty), operators by provider, and why
    #: it cannot be loaded.
    providers: tuple[str, ...] = ()
    served: dict[str, int]
    failure: str = ""

    def __init__(self, path: str, options: Any, providers: list[Any], enable_fallback: int) -> None:
        assert enable_fallback == 0, "ONNX Runtime would try again on the CPU"
        ((self.name, settings),) = providers
        kind = type(self)
        kind.settings, kind.entries = settings, {}
        for key in ("session.record_ep_graph_assignment_info", "session.disable_cpu_ep_fallback"):
            try:
                kind.entries[key] = options.get_session_config_entry(key)
            except RuntimeError:  # it was not set
                continue
        if self.failure:
            raise RuntimeError(self.failure)
        self.inner = self.real(path, providers=[CPU])

    def __getattr__(self, name: str) -> Any:
        if name not in ("get_inputs", "get_outputs", "disable_fallback", "run"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def get_providers(self) -> list[str]:
        return list(self.providers or (self.name, CPU))


class Telling(Plain):
    """A session of 1.24 or newer: it tells which provider serves each operator."""

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [
            SimpleNamespace(ep_name=name, get_nodes=lambda n=count: [None] * n)
            for name, count in self.served.items()
        ]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Load:
    """``load("cuda", served={...})`` loads the tiny model with sessions that answer so."""

    def go(
        provider: str,
        kind: type[Plain] = Telling,
        request: dict[str, Any] | None = None,
        model: str = "model.onnx",
        **answers: Any,
    ) -> Session:
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ALL)
        monkeypatch.setattr(
            onnxruntime,
            "InferenceSession",
            type("InferenceSession", (kind,), {"served": {ALL[0]: 3}} | answers),
        )
        return find("ort").load(
            tiny.folder / model, LoadRequest(options={"provider": provider}, **(request or {}))
        )

    return go


def asked() -> Any:
    return onnxruntime.InferenceSession


def test_a_provider_that_serves_all_operators_is_named_with_its_tf32(load: Load) -> None:
    session = load("cuda", request={"device": "cuda:1"})
    assert (session.provider, session.device) == (f"{CUDA}, TF32 off", "cuda:1")
    assert asked().settings == {"device_id": "1", "use_tf32": "0"}
    assert asked().entries == {"session.record_ep_graph_assignment_info": "1"}
    session = load("tensorrt", served={"TensorrtExecutionProvider": 3})
    assert session.provider == "TensorrtExecutionProvider, TF32 as TensorRT chooses"
    session = load("cann", served={"CANNExecutionProvider": 3})
    assert (session.provider, session.device) == ("CANNExecutionProvider", "npu:0")


def test_what_the_processor_serves_beside_it_is_said(load: Load) -> None:
    assert (
        load("cuda", served={CUDA: 2, CPU: 1}).provider
        == f"{CUDA} for 2 of 3 operators, else {CPU}, TF32 off"
    )


def test_a_provider_that_serves_nothing_is_an_error(load: Load) -> None:
    with pytest.raises(
        ToolError,
        match=f"{CUDA} serves none of the 3 operators of .*model.onnx', {CPU} would run them",
    ):
        load("cuda", served={CPU: 3})


def test_a_version_that_cannot_tell_is_forbidden_to_use_the_processor(load: Load) -> None:
    assert load("cuda", kind=Plain).provider == f"{CUDA}, TF32 off"
    assert asked().entries == {"session.disable_cpu_ep_fallback": "1"}


def test_a_provider_that_cannot_be_loaded_is_an_error_of_the_host(load: Load) -> None:
    with pytest.raises(
        ToolError,
        match=(
            f"was asked for {CUDA} and loaded .* on {CPU}: it could not load that provider's"
            " libraries"
        ),
    ):
        load("cuda", providers=(CPU,))
    with pytest.raises(
        ToolError,
        match=r"could not load .*model.onnx' on CANNExecutionProvider: libascendcl is missing",
    ):
        load("cann", failure="libascendcl\n is missing")


def test_cudas_libraries_of_other_packages_are_loaded_first(
    load: Load, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    done: list[str] = []
    monkeypatch.setitem(sys.modules, "tensorrt", ModuleType("tensorrt"))
    monkeypatch.setattr(
        onnxruntime,
        "preload_dlls",
        lambda: done.append("cuda") or print("what it says"),
        raising=False,
    )
    load("openvino", served={OPENVINO: 3})
    assert not done
    load("cuda")
    assert done == ["cuda"]
    assert capsys.readouterr() == ("", "what it says\n"), "standard output is for results"


def test_openvino_computes_in_float32_on_a_processor_and_says_so(load: Load, tiny: Any) -> None:
    session = load("openvino", request={"threads": 2}, served={OPENVINO: 3})
    assert (session.provider, session.device, session.precision) == (OPENVINO, "cpu", "fp32")
    assert asked().settings == {"device_type": "CPU", "precision": "FP32", "num_of_threads": "2"}
    half(tiny.folder / "half.onnx")
    session = load("openvino", model="half.onnx", served={OPENVINO: 3})
    assert (session.provider, session.precision) == (
        f"{OPENVINO}, float16 computed in float32",
        "fp32",
    )
    assert load("cuda", model="half.onnx").precision == "fp16"


def half(path: Path) -> None:
    """x [N, 2] times a matrix, all in float16."""
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT16, ["N", 2]) for n in ("x", "y")]
    weight = helper.make_tensor("w", TensorProto.FLOAT16, (2, 2), [1.0, 1.0, 1.0, 1.0])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:], [weight]
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
