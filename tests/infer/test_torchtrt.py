"""The backend ``torch-tensorrt``: what it asks of the package, which is not here, and what it refuses."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from portproof.backend import LoadRequest, find
from portproof.errors import InputError
from portproof.infer import torchsession
from portproof.infer.backends import torchtrt


def test_it_is_found_by_its_own_name() -> None:
    assert find("torch-tensorrt") is sys.modules["portproof.infer.backends.torchtrt"]


def test_the_modules_dtype_decides_and_a_failed_build_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    asked: list[dict[str, Any]] = []
    package = types.ModuleType("torch_tensorrt")
    package.__version__ = "2.14.0"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch_tensorrt", package)
    monkeypatch.setattr(torch, "compile", lambda module, **options: asked.append(options) or module)
    monkeypatch.setattr(torchtrt, "load_module", lambda model, request: ("module", "card", "cuda:0", "fp16"))
    monkeypatch.setattr(torchtrt, "TorchSession", lambda *given: types.SimpleNamespace(given=given, provider="CUDA 13.0, TF32 off"))
    session = torchtrt.load(Path("w.pth"), LoadRequest(device="cuda:0", precision="fp16", options={"full": "on"}))
    assert session.given == ("module", "card", "cuda:0", "fp16")  # type: ignore[attr-defined]
    assert session.provider == "Torch-TensorRT 2.14.0, CUDA 13.0, TF32 off"
    (options,) = asked
    assert (options["backend"], options["dynamic"]) == ("torch_tensorrt", False)
    assert options["options"] == {
        "use_explicit_typing": True,
        "disable_tf32": True,
        "pass_through_build_failures": True,
        "require_full_compilation": True,
    }


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"device": "cuda:0"}, r"pip install 'portproof\[torch-tensorrt\]'"),
        ({}, "runs on an NVIDIA GPU"),
        ({"device": "cuda:0", "options": {"full": "1"}}, "the option full is '1'"),
        ({"device": "cuda:0", "options": {"mode": "x"}}, "no option 'mode'"),
    ],
)
def test_what_it_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch, request_: dict[str, Any], words: str) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(InputError, match=words):
        find("torch-tensorrt").load(Path("w.pth"), LoadRequest(**request_))


def test_tf32_is_what_pytorch_says_it_is() -> None:
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        assert not torchsession._tf32_allowed(torch)
        torch.backends.cudnn.allow_tf32 = True
        assert torchsession._tf32_allowed(torch)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
