"""Backend ``eager``: the PyTorch model as it was trained, the reference of every comparison."""

from __future__ import annotations

from pathlib import Path

from portproof.backend import LoadRequest
from portproof.infer.runtimes.torch_session import TorchSession, load_module

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors", ".tar")
DEFAULT_FOR = (".pth", ".pt")
PACKAGES = ("torch",)


def load(model: Path, request: LoadRequest) -> TorchSession:
    """Build the card's model and load the weights."""
    request.refuse_other_options("eager")
    return TorchSession(*load_module(model, request))
