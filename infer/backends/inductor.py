"""Backend ``inductor``: the PyTorch model compiled by ``torch.compile``; compiling is part of the
first inference at each batch size.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from portproof.backend import LoadRequest
from portproof.core.errors import InputError
from portproof.infer.backends import eager
from portproof.infer.runtimes.torch_session import TorchSession, load_module

SUFFIXES = eager.SUFFIXES
DEFAULT_FOR: tuple[str, ...] = ()
PACKAGES = eager.PACKAGES
_MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


def load(model: Path, request: LoadRequest) -> TorchSession:
    """Build the card's model, load the weights, and have it compiled when it is first run.

    The option ``mode`` is that of ``torch.compile``, one of :data:`_MODES`.
    """
    request.refuse_other_options("inductor", ("mode",))
    mode = request.options.get("mode")
    if mode not in (None, *_MODES):
        raise InputError(f"the option mode is '{mode}', one of {', '.join(_MODES)} was expected")
    module, card, device, precision = load_module(model, request)
    import torch  # installed, or load_module has raised an error

    # Compiled for the one batch that is run, as engines of the other backends are: any other would
    # be compiled again, which takes longer than anything that it is run for.
    compiled = torch.compile(module, mode=mode, dynamic=False)
    session = TorchSession(compiled, card, device, precision)
    session.inputs = tuple(
        replace(spec, shape=(request.batch, *spec.shape[1:])) for spec in session.inputs
    )
    return session
