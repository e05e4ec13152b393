"""A strict double of the part of ``cuda.bindings.runtime`` that PortProof uses.

Device memory is host memory under other addresses' names; what is enqueued happens only when the
stream is synchronised, so a result that is read too early is garbage, and a wrong order, size or
kind of memory is an error as on a GPU.
"""

from __future__ import annotations

import ctypes
import enum
import importlib
import sys
import time
import types
from typing import Any

cudaStreamNonBlocking = 1
cudaHostAllocDefault = 0


class cudaError_t(enum.Enum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorNoDevice = 100
    cudaErrorInvalidResourceHandle = 400
    cudaErrorNotReady = 600
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorStreamCaptureInvalidated = 901


class cudaMemcpyKind(enum.Enum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class cudaDeviceAttr(enum.Enum):
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


class cudaStreamCaptureMode(enum.Enum):
    cudaStreamCaptureModeGlobal = 0
    cudaStreamCaptureModeThreadLocal = 1


_OK = cudaError_t.cudaSuccess
_INVALID = cudaError_t.cudaErrorInvalidValue

device_count = 1
compute_capability = (7, 5)
device_memory: dict[int, Any] = {}
locked_memory: dict[int, Any] = {}
streams: dict[int, Stream] = {}
#: What happened, for tests.
history: list[str] = []


class Stream:
    def __init__(self) -> None:
        self.queue: list[Any] = []
        self.captured: list[Any] | None = None

    def __int__(self) -> int:
        return id(self)

    def enqueue(self, work: Any) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def drain(self) -> None:
        while self.queue:
            self.queue.pop(0)()


class Event:
    def __init__(self) -> None:
        self.at: float | None = None


class Graph:
    def __init__(self, work: list[Any]) -> None:
        self.work = work


class GraphExec(Graph):
    pass


def inside(memory: dict[int, Any], address: int, nbytes: int) -> bool:
    """Whether these bytes lie in one allocation."""
    return any(
        start <= address and address + nbytes <= start + len(block)
        for start, block in memory.items()
    )


def cudaGetDeviceCount() -> tuple[Any, ...]:
    return (_OK, device_count) if device_count else (cudaError_t.cudaErrorNoDevice, None)


def cudaSetDevice(device: int) -> tuple[Any, ...]:
    return (_OK if 0 <= device < device_count else _INVALID,)


def cudaDeviceGetAttribute(attr: cudaDeviceAttr, device: int) -> tuple[Any, ...]:
    return _OK, compute_capability[list(cudaDeviceAttr).index(attr)]


def cudaMalloc(size: int) -> tuple[Any, ...]:
    return _allocate(device_memory, size)


def cudaHostAlloc(size: int, flags: int) -> tuple[Any, ...]:
    return _allocate(locked_memory, size)


def _allocate(memory: dict[int, Any], size: int) -> tuple[Any, ...]:
    block = (ctypes.c_uint8 * size)(*[0xA5] * min(size, 64))
    memory[ctypes.addressof(block)] = block
    return _OK, ctypes.addressof(block)


def cudaFree(address: int) -> tuple[Any, ...]:
    return (_OK if device_memory.pop(address, None) is not None else _INVALID,)


def cudaFreeHost(address: int) -> tuple[Any, ...]:
    return (_OK if locked_memory.pop(address, None) is not None else _INVALID,)


def cudaMemcpyAsync(
    dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: Stream
) -> tuple[Any, ...]:
    to_device = kind is cudaMemcpyKind.cudaMemcpyHostToDevice
    device, host = (dst, src) if to_device else (src, dst)
    if not inside(device_memory, device, count) or not inside(locked_memory, host, count):
        return (_INVALID,)

    def copy() -> None:
        history.append(kind.name)
        ctypes.memmove(dst, src, count)

    stream.enqueue(copy)
    return (_OK,)


def cudaStreamCreateWithFlags(flags: int) -> tuple[Any, ...]:
    assert flags == cudaStreamNonBlocking
    stream = Stream()
    streams[int(stream)] = stream
    return _OK, stream


def cudaStreamSynchronize(stream: Stream) -> tuple[Any, ...]:
    if stream.captured is not None:
        stream.captured = None
        return (cudaError_t.cudaErrorStreamCaptureUnsupported,)
    stream.drain()
    return (_OK,)


def cudaStreamDestroy(stream: Stream) -> tuple[Any, ...]:
    return (_OK if streams.pop(int(stream), None) else cudaError_t.cudaErrorInvalidResourceHandle,)


def cudaEventCreate() -> tuple[Any, ...]:
    return _OK, Event()


def cudaEventDestroy(event: Event) -> tuple[Any, ...]:
    return (_OK,)


def cudaEventRecord(event: Event, stream: Stream) -> tuple[Any, ...]:
    event.at = None

    def stamp() -> None:
        event.at = time.perf_counter()

    stream.enqueue(stamp)
    return (_OK,)


def cudaEventElapsedTime(start: Event, end: Event) -> tuple[Any, ...]:
    if start.at is None or end.at is None:
        return cudaError_t.cudaErrorNotReady, None
    return _OK, 1e3 * (end.at - start.at)


def cudaStreamBeginCapture(stream: Stream, mode: cudaStreamCaptureMode) -> tuple[Any, ...]:
    assert isinstance(mode, cudaStreamCaptureMode)
    stream.captured = []
    return (_OK,)


def cudaStreamEndCapture(stream: Stream) -> tuple[Any, ...]:
    work, stream.captured = stream.captured, None
    if work is None:
        return cudaError_t.cudaErrorStreamCaptureInvalidated, None
    return _OK, Graph(work)


def cudaGraphInstantiate(graph: Graph, flags: int) -> tuple[Any, ...]:
    return _OK, GraphExec(graph.work)


def cudaGraphDestroy(graph: Graph) -> tuple[Any, ...]:
    return (_OK,)


def cudaGraphExecDestroy(graph: GraphExec) -> tuple[Any, ...]:
    return (_OK,)


def cudaGraphLaunch(graph: GraphExec, stream: Stream) -> tuple[Any, ...]:
    history.append("cudaGraphLaunch")
    for work in graph.work:
        stream.enqueue(work)
    return (_OK,)


def install() -> None:
    """Be ``cuda.bindings.runtime`` in this process; where the real package is there, nothing else
    of it is touched.
    """
    for name in ("cuda", "cuda.bindings"):
        try:
            importlib.import_module(name)
        except ImportError:
            sys.modules[name] = types.ModuleType(name)
    sys.modules["cuda.bindings"].runtime = sys.modules["cuda.bindings.runtime"] = sys.modules[
        __name__
    ]  # type: ignore[attr-defined]


def forget() -> None:
    """Take all doubles out of this process; what is imported next is what is installed."""
    bindings = sys.modules.get("cuda.bindings")
    if bindings is not None and hasattr(bindings, "runtime"):
        del bindings.runtime
    ours = (
        "cuda.bindings.runtime",
        "tensorrt",
        "tensorrt_plans",
        "cuda_double",
        "torch_double",
        "pynvml",
    )
    for name in [n for n in sys.modules if n in ours or n.startswith("tensorrt.")]:
        del sys.modules[name]
