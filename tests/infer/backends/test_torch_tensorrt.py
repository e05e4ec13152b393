"""The backend ``torch-tensorrt``: what it asks of the package, which is not here, and what it
refuses.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from portproof.backend import LoadRequest, find
from portproof.card import read_card
from portproof.core.errors import InputError, ToolError
from portproof.infer.backends import torch_tensorrt_
from portproof.infer.runtimes import torch_session


def test_it_is_found_by_its_own_name() -> None:
    assert find("torch-tensorrt") is sys.modules["portproof.infer.backends.torch_tensorrt_"]


class Net(torch.nn.Module):
    """A module that PyTorch can export on the processor."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.flatten(1))  # type: ignore[no-any-return]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tiny: Any) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """``build("_run_on_acc_0", ...)`` loads with a compiler that makes these parts; the session,
    and what the compiler was asked.
    """

    def go(
        *parts: str, full: str = "off", failure: str = "", explicit: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        asked: dict[str, Any] = {}

        def compile(
            exported_program: Any,
            inputs: Any = None,
            *,
            arg_inputs: Any,
            device: Any,
            disable_tf32: bool,
            min_block_size: int,
            pass_through_build_failures: bool,
            require_full_compilation: bool,
            **more: Any,
        ) -> Any:
            assert isinstance(exported_program, torch.export.ExportedProgram)
            assert [tuple(x.shape) for x in arg_inputs] == [(4, 3, 2, 2)]
            asked.update(
                disable_tf32=disable_tf32,
                min_block_size=min_block_size,
                raises=pass_through_build_failures,
                full=require_full_compilation,
                device=device,
                dtype=arg_inputs[0].dtype,
                **more,
            )
            if failure:
                raise RuntimeError(failure)
            made = exported_program.module()
            for part in parts:
                made.add_module(part, torch.nn.Identity())
            return made

        def older(exported_program: Any, *, use_explicit_typing: bool, **more: Any) -> Any:
            asked["explicit"] = use_explicit_typing
            return compile(exported_program, **more)

        package = types.ModuleType("torch_tensorrt")
        package.__version__ = "2.14.0"  # type: ignore[attr-defined]
        package.dynamo = types.SimpleNamespace(compile=older if explicit else compile)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "torch_tensorrt", package)
        card = read_card(tiny.folder / "card.yaml")
        monkeypatch.setattr(
            torch_tensorrt_,
            "load_module",
            lambda model, request: (Net().eval().half(), card, "cpu", "fp16"),
        )
        request = LoadRequest(batch=4, device="cuda:0", precision="fp16", options={"full": full})
        return torch_tensorrt_.load(Path("w.pth"), request), asked

    return go


def test_the_model_is_built_for_its_batch_in_its_type_and_the_engines_are_counted(
    build: Any,
) -> None:
    session, asked = build("_run_on_acc_0")
    assert session.provider.startswith("Torch-TensorRT 2.14.0, 1 engines, ")
    assert asked == {
        "disable_tf32": True,
        "min_block_size": 1,
        "raises": True,
        "full": False,
        "device": torch.device("cpu"),
        "dtype": torch.float16,
    }
    assert session.inputs[0].shape == (4, 3, 2, 2)
    assert session.run({"image": np.zeros((4, 3, 2, 2), np.float32)})["class"].shape == (4, 5)


def test_what_stays_with_pytorch_is_said_or_refused(build: Any) -> None:
    session, _ = build("_run_on_acc_0", "_run_on_gpu_1", "_run_on_acc_2")
    assert "2 engines and 1 parts in PyTorch" in session.provider
    assert build("_run_on_acc_0", full="on")[1]["full"] is True
    with pytest.raises(
        ToolError, match=r"made no engine of 'w\.pth': all of it would run in PyTorch"
    ):
        build()
    with pytest.raises(ToolError, match="cannot build the model: no converter for aten"):
        build(full="on", failure="no converter\nfor aten")


def test_versions_that_can_choose_are_told_to_take_the_modules_types(build: Any) -> None:
    assert build("_run_on_acc_0", explicit=True)[1]["explicit"] is True


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"device": "cuda:0"}, r"pip install 'portproof\[torch-tensorrt\]'"),
        ({}, "runs on an NVIDIA GPU"),
        ({"device": "cuda:0", "options": {"full": "1"}}, "the option full is '1'"),
        ({"device": "cuda:0", "options": {"mode": "x"}}, "no option 'mode'"),
    ],
)
def test_what_it_cannot_do_is_said(
    monkeypatch: pytest.MonkeyPatch, request_: dict[str, Any], words: str
) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(InputError, match=words):
        find("torch-tensorrt").load(Path("w.pth"), LoadRequest(**request_))


def test_tf32_is_what_pytorch_says_it_is() -> None:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        assert not torch_session._tf32_allowed(torch)
        torch.backends.cudnn.allow_tf32 = True
        assert torch_session._tf32_allowed(torch)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
