"""Backend ``torch_npu``: the PyTorch model on an Ascend NPU, by the package ``torch_npu``: operator
by operator, or with the option ``mode=graph`` as one graph by TorchAir.

An operator that the NPU has no kernel for would be computed on the host's processor. That is an
error, unless the option ``fallback=cpu`` allows it; ``provider`` says so then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from portproof.backend import LoadRequest
from portproof.core.errors import InputError
from portproof.infer.backends import eager
from portproof.infer.runtimes.npu_torch import OnNpu, graph_of, import_npu, npu_device
from portproof.infer.runtimes.torch_session import TorchSession, load_module

SUFFIXES = eager.SUFFIXES
DEFAULT_FOR: tuple[str, ...] = ()
PACKAGES = ("torch", "torch_npu")
_CHOICES = {"mode": ("eager", "graph"), "fallback": ("none", "cpu")}


def load(model: Path, request: LoadRequest) -> TorchSession:
    """Build the card's model, load the weights, and put it on the NPU."""
    request.refuse_other_options("torch_npu", tuple(_CHOICES))
    chosen = {name: request.options.get(name, values[0]) for name, values in _CHOICES.items()}
    for name, value in chosen.items():
        if value not in _CHOICES[name]:
            expected = " or ".join(_CHOICES[name])
            raise InputError(f"the option {name} is '{value}', {expected} was expected")
    npu = import_npu()
    request = replace(request, device=request.device or "npu:0")
    module, card, device, precision = load_module(model, request, npu_device)
    import torch  # installed, since torch_npu was imported

    graph = chosen["mode"] == "graph"
    allowed = chosen["fallback"] == "cpu"
    run = graph_of(torch, module) if graph else module
    session = TorchSession(OnNpu(run, allowed), card, device, precision)
    parts = [f"torch_npu {npu.__version__}, HF32 off", "TorchAir graph" if graph else "eager"]
    session.provider = ", ".join([*parts, *(["the CPU where it has no kernel"] if allowed else [])])
    if graph:  # compiled for the one batch that is run
        session.inputs = tuple(
            replace(spec, shape=(request.batch, *spec.shape[1:])) for spec in session.inputs
        )
    return session
