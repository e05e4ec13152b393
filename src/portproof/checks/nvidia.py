"""NVIDIA GPUs: the driver's ``nvidia-smi`` tells what there is; TensorRT builds and executes the engine."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.diagnosis import Check, Finding, Host, needs
from portproof.target import Target

_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
_TENSORRT = "install TensorRT from https://developer.nvidia.com/tensorrt and put its bin folder on PATH"


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What an NVIDIA target needs: the GPU itself, an engine builder, a runtime, the vendor's own measuring tool, and the GPU's counters."""
    yield needs(target, "device", [device(target, host)])
    trtexec = host.program("trtexec", _TENSORRT)
    package = host.package("tensorrt", "trt", distribution="tensorrt")
    # A port converts and times by trtexec; the package alone can convert too (onnx2trt --via python).
    yield needs(target, "convert", [trtexec])
    yield needs(target, "infer", [package, host.package("torch", "convert")])
    yield needs(target, "vendor-tool", [trtexec])
    yield needs(target, "counters", [host.package("pynvml", "trt", distribution="nvidia-ml-py")])


def device(target: Target, host: Host) -> Finding:
    """Whether the target's own GPU is here: another one of the same compute capability has other timings."""
    listing = host.output(_QUERY)
    if listing is None:
        return Finding(False, "'nvidia-smi' finds no GPU here; use a host with the NVIDIA driver, or measure there and bring the logs")
    gpus = [tuple(part.strip() for part in line.rpartition(",")[::2]) for line in listing.splitlines() if line.strip()]
    found = ", ".join(f"{name} (compute capability {capability})" for name, capability in gpus)
    words = {word.lower() for name, _ in gpus for word in name.replace("-", " ").split()}
    if target.name in words:
        return Finding(True, found)
    return Finding(False, f"this host has {found or 'no GPU'}, a {target.name.upper()} ({target.compute_capability}) was expected")
