"""Backend ``torch-tensorrt``: the PyTorch model built into TensorRT engines by Torch-TensorRT, for
the batch that was asked for.

What TensorRT has no converter for stays with PyTorch. The number of these parts is reported, and
the option ``full=on`` makes it an error, as a model without any engine always is. ``torch.compile``
with this backend reports neither, so the model is exported and compiled ahead.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path
from typing import Any

from portproof.backend import LoadRequest
from portproof.card import Card
from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.infer.backends import eager
from portproof.infer.runtimes.torch_session import TorchSession, load_module

SUFFIXES = eager.SUFFIXES
DEFAULT_FOR: tuple[str, ...] = ()
PACKAGES = ("torch", "torch_tensorrt", "tensorrt")

#: How the compiled module names its parts: engines, and what PyTorch runs between them.
_ENGINE, _REST = "_run_on_acc", "_run_on_gpu"


def load(model: Path, request: LoadRequest) -> TorchSession:
    """Build the card's model with weights, then the engines, in the module's precision."""
    request.refuse_other_options("torch-tensorrt", ("full",))
    full = request.options.get("full", "off")
    if full not in ("on", "off"):
        raise InputError(f"the option full is '{full}', 'on' or 'off' was expected")
    if not (request.device or "").startswith("cuda"):
        raise InputError(
            f"the backend 'torch-tensorrt' runs on an NVIDIA GPU: --device is '{request.device}',"
            " 'cuda:0' was expected"
        )
    try:
        import torch_tensorrt  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingPackageError(
            "torch-tensorrt", "the backend 'torch-tensorrt'", "torch-tensorrt"
        ) from error
    module, card, device, precision = load_module(model, request)
    compiled = _compiled(
        torch_tensorrt, module, card, device, batch=request.batch, full=full == "on"
    )
    names = [name for name, _ in compiled.named_children()]
    engines, rest = (sum(name.startswith(part) for name in names) for part in (_ENGINE, _REST))
    if not engines:
        raise ToolError(
            f"Torch-TensorRT made no engine of '{model}': all of it would run in PyTorch; use the"
            " backend eager or inductor"
        )
    session = TorchSession(compiled, card, device, precision)
    session.inputs = tuple(
        replace(spec, shape=(request.batch, *spec.shape[1:])) for spec in session.inputs
    )
    parts = f"{engines} engines" + (f" and {rest} parts in PyTorch" if rest else "")
    session.provider = f"Torch-TensorRT {torch_tensorrt.__version__}, {parts}, {session.provider}"
    return session


def _compiled(
    torch_tensorrt: Any, module: Any, card: Card, device: str, *, batch: int, full: bool
) -> Any:
    """The module with its engines; :class:`ToolError` when it cannot be exported or built."""
    import torch

    dtype = next(module.parameters()).dtype
    samples = tuple(
        torch.zeros(
            (batch, *i.shape),
            device=device,
            dtype=dtype if i.dtype.startswith("float") else getattr(torch, i.dtype),
        )
        for i in card.inputs
    )
    settings: dict[str, Any] = {
        "device": torch.device(device),
        "disable_tf32": True,
        "min_block_size": 1,  # else small parts stay with PyTorch
        "pass_through_build_failures": True,
        "require_full_compilation": full,
    }
    build = torch_tensorrt.dynamo.compile
    # Before TensorRT 11, where it is the only way.
    if "use_explicit_typing" in inspect.signature(build).parameters:
        settings["use_explicit_typing"] = True
    try:
        with torch.no_grad():
            return build(torch.export.export(module, samples), arg_inputs=samples, **settings)
    except Exception as error:  # torch.export and the compiler raise many unrelated types
        raise ToolError(
            f"Torch-TensorRT cannot build the model: {' '.join(str(error).split())[:400]}"
        ) from error
