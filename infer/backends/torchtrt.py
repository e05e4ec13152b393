"""Backend ``torch-tensorrt``: the PyTorch model compiled by Torch-TensorRT; building the engines is part of the first inference at each batch size.

What TensorRT has no converter for stays with PyTorch; the option ``full=on`` makes that an error. A build that fails always is one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portproof.backend import LoadRequest
from portproof.errors import InputError, MissingPackageError
from portproof.infer.backends import eager
from portproof.infer.torchsession import TorchSession, load_module

SUFFIXES = eager.SUFFIXES
DEFAULT_FOR: tuple[str, ...] = ()
PACKAGES = ("torch", "torch_tensorrt", "tensorrt")


def load(model: Path, request: LoadRequest) -> TorchSession:
    """Build the card's model, load the weights, and have it compiled when it is first run. Its dtype decides the precision of the engines."""
    request.refuse_other_options("torch-tensorrt", ("full",))
    full = request.options.get("full", "off")
    if full not in ("on", "off"):
        raise InputError(f"the option full is '{full}', 'on' or 'off' was expected")
    if not (request.device or "").startswith("cuda"):
        raise InputError(f"the backend 'torch-tensorrt' runs on an NVIDIA GPU: --device is '{request.device}', 'cuda:0' was expected")
    try:
        import torch
        import torch_tensorrt  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingPackageError("torch-tensorrt", "the backend 'torch-tensorrt'", "torch-tensorrt") from error
    module, card, device, precision = load_module(model, request)
    settings: dict[str, Any] = {
        "use_explicit_typing": True,
        "disable_tf32": True,
        "pass_through_build_failures": True,
        "require_full_compilation": full == "on",
    }
    # Compiled for the one batch that is run, as the backend inductor does; a short last batch is compiled again.
    session = TorchSession(torch.compile(module, backend="torch_tensorrt", dynamic=False, options=settings), card, device, precision)
    session.provider = f"Torch-TensorRT {torch_tensorrt.__version__}, {session.provider}"
    return session
