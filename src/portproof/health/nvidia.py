"""NVIDIA GPUs: ``nvidia-smi`` lists the GPUs; TensorRT builds and executes the engine."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from portproof.core.errors import InputError
from portproof.health.host import Check, Host, HostFinding, needs
from portproof.host import nvidiasmi
from portproof.host.tensorrt_versions import (
    HINT,
    PROGRAM_FOLDERS,
    is_package_driven,
    version_in_help,
)
from portproof.target import Target

#: Programs that end with 0 where a package can use the GPU, which an installed one may not: PyTorch
#: for processors only, a driver that is too old.
_BUFFERS = {
    "torch": "import sys, torch; sys.exit(not torch.cuda.is_available())",
    "cuda-python": (
        "import sys; from cuda.bindings import runtime as r;"
        " sys.exit(int(r.cudaGetDeviceCount()[0]))"
    ),
    "pycuda": "from pycuda import driver; driver.init()",
}


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What an NVIDIA target needs: the GPU itself, an engine builder, a runtime, the vendor's own
    measuring tool, and the GPU's counters.
    """
    gpu, trtexec = device(target, host), _trtexec(host)
    yield needs(target, "device", [gpu])
    # A port converts and times by trtexec; the package alone can convert too (onnx2trt --via
    # python).
    yield needs(target, "convert", [trtexec])
    yield needs(target, "infer", [_package(host), *([_buffers(host)] if gpu.ok else [])])
    yield needs(target, "vendor-tool", [trtexec])
    yield needs(target, "counters", [host.package("pynvml", "bench", distribution="nvidia-ml-py")])


def _trtexec(host: Host) -> HostFinding:
    """The program, and whether its version is driven."""
    program = host.program("trtexec", HINT, PROGRAM_FOLDERS)
    if not program.path:
        return program
    try:
        version = version_in_help(host.output((str(program.path), "--help")) or "")
    except InputError as error:
        return HostFinding(False, f"{program.text}: {error}")
    return HostFinding(True, f"{program.text} of TensorRT {'.'.join(map(str, version))}")


def _package(host: Host) -> HostFinding:
    package = host.package("tensorrt", "trt", distribution="tensorrt")
    version = package.text.rpartition(" ")[2]
    if package.ok and not is_package_driven(version):
        return HostFinding(
            False,
            f"the Python package tensorrt is {version}, and 10 and 11 are driven: install one of"
            " them",
        )
    return package


def _buffers(host: Host) -> HostFinding:
    """A package that can hold an engine's buffers on the GPU."""
    usable = [
        name
        for name, code in _BUFFERS.items()
        if host.output((sys.executable, "-c", code)) is not None
    ]
    if usable:
        return HostFinding(True, f"buffers by {usable[0]}")
    return HostFinding(
        False,
        f"none of {', '.join(_BUFFERS)} can use the GPU here: install PyTorch for CUDA, or"
        " cuda-python, that fits the driver",
    )


def device(target: Target, host: Host) -> HostFinding:
    """Whether the target's own GPU is here: another of its compute capability is not as fast."""
    gpus = nvidiasmi.query(host.output)
    if gpus is None:
        return HostFinding(
            False,
            "'nvidia-smi' finds no GPU here; use a host with the NVIDIA driver, or measure there"
            " and bring the logs",
        )
    listed = ", ".join(
        f"{gpu.name} (compute capability {gpu.compute_capability or 'unknown'})" for gpu in gpus
    )
    words = {word.lower() for gpu in gpus for word in gpu.name.replace("-", " ").split()}
    if target.name in words:
        return HostFinding(True, listed)
    return HostFinding(
        False,
        f"this host has {listed or 'no GPU'}, a {target.name.upper()} ({target.compute_capability})"
        " was expected",
    )
