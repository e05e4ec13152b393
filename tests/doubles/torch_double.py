"""Doubles of the parts of ``torch.cuda`` and ``pycuda.driver`` that hold TensorRT's buffers, over
the double of CUDA.
"""

from __future__ import annotations

import ctypes
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cuda_double as cuda
import numpy as np

uint8 = "uint8"


class Tensor:
    """Bytes on the device or page-locked on the host; ``owner`` keeps the memory for as long as a
    view lives.
    """

    def __init__(self, address: int, nbytes: int, on_device: bool, owner: Any = None) -> None:
        self.address, self.nbytes, self.on_device, self.owner = address, nbytes, on_device, owner

    def data_ptr(self) -> int:
        return self.address

    def numpy(self) -> Any:
        if self.on_device:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return np.ctypeslib.as_array((ctypes.c_uint8 * self.nbytes).from_address(self.address))

    def __getitem__(self, index: slice) -> Tensor:
        return Tensor(self.address, min(index.stop, self.nbytes), self.on_device, self)

    def copy_(self, other: Tensor, non_blocking: bool) -> None:
        assert self.nbytes == other.nbytes
        assert non_blocking
        kind = (
            cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
            if self.on_device
            else cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        )
        (error,) = cuda.cudaMemcpyAsync(
            self.address, other.address, self.nbytes, kind, current_stream()
        )
        assert error is cuda.cudaError_t.cudaSuccess


class Stream:
    def __init__(self, device: Any = None) -> None:
        self._stream = cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking)[1]
        self.cuda_stream = self.handle = int(self._stream)

    def synchronize(self) -> None:
        assert cuda.cudaStreamSynchronize(self._stream) == (cuda.cudaError_t.cudaSuccess,)


_current: list[Stream] = []


def current_stream() -> Any:
    """The stream of the innermost ``with``; work on the default stream would not be ordered with
    TensorRT's.
    """
    assert _current, "enqueued on the default stream"
    return _current[-1]._stream


@contextmanager
def stream(one: Stream) -> Iterator[None]:
    _current.append(one)
    try:
        yield
    finally:
        _current.pop()


class Event:
    def __init__(self, enable_timing: bool = True) -> None:
        self._event = cuda.cudaEventCreate()[1]

    def record(self, on: Stream) -> None:
        cuda.cudaEventRecord(self._event, on._stream)

    def elapsed_time(self, end: Event) -> float:
        error, ms = cuda.cudaEventElapsedTime(self._event, end._event)
        assert error is cuda.cudaError_t.cudaSuccess, error
        return float(ms)

    time_till = elapsed_time


class CUDAGraph:
    work: Any = None

    def replay(self) -> None:
        cuda.cudaGraphLaunch(self.work, current_stream())


@contextmanager
def graph(captured: CUDAGraph, stream: Stream, capture_error_mode: str) -> Iterator[None]:
    assert capture_error_mode in ("global", "thread_local", "relaxed")
    cuda.cudaStreamBeginCapture(
        stream._stream, cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
    )
    _current.append(stream)
    try:
        yield
    finally:
        _current.pop()
        error, work = cuda.cudaStreamEndCapture(stream._stream)
        if error is not cuda.cudaError_t.cudaSuccess:
            raise RuntimeError(
                "CUDA error: operation failed due to a previous error during capture"
            )
        captured.work = cuda.cudaGraphInstantiate(work, 0)[1]


def empty(nbytes: int, dtype: str, device: Any = None, pin_memory: bool = False) -> Tensor:
    assert dtype == uint8
    assert (device is None) == pin_memory
    error, address = cuda.cudaHostAlloc(nbytes, 0) if pin_memory else cuda.cudaMalloc(nbytes)
    assert error is cuda.cudaError_t.cudaSuccess
    return Tensor(address, nbytes, not pin_memory)


def torch_module() -> Any:
    """The double of torch."""
    torch: Any = types.ModuleType("torch")
    torch.uint8, torch.empty, torch.device = uint8, empty, lambda kind, index: f"{kind}:{index}"
    names = {
        "Stream": Stream,
        "stream": stream,
        "Event": Event,
        "CUDAGraph": CUDAGraph,
        "graph": graph,
    }
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "set_device": lambda device: None,
        "empty_cache": lambda: None,
        "get_device_capability": lambda device: cuda.compute_capability,
    }
    torch.cuda = types.SimpleNamespace(**names, **answers)
    return torch


class Allocation:
    """pycuda's memory, which is an integer too."""

    def __init__(self, nbytes: int) -> None:
        self.address = cuda.cudaMalloc(nbytes)[1]

    def __int__(self) -> int:
        return int(self.address)

    def free(self) -> None:
        assert cuda.cudaFree(self.address) == (cuda.cudaError_t.cudaSuccess,)


def pycuda_modules() -> dict[str, Any]:
    """The doubles of ``pycuda`` and ``pycuda.driver``."""
    driver: Any = types.ModuleType("pycuda.driver")
    context = types.SimpleNamespace(push=lambda: None, pop=lambda: None)

    class Device:
        def __init__(self, index: int) -> None:
            assert index == 0

        count = staticmethod(lambda: 1)

        def retain_primary_context(self) -> Any:
            return context

        def compute_capability(self) -> tuple[int, int]:
            return cuda.compute_capability

    def htod(address: int, host: Any, stream: Stream) -> None:
        kind = cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        assert cuda.cudaMemcpyAsync(
            address, host.ctypes.data, host.nbytes, kind, stream._stream
        ) == (cuda.cudaError_t.cudaSuccess,)

    def dtoh(host: Any, address: int, stream: Stream) -> None:
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        assert cuda.cudaMemcpyAsync(
            host.ctypes.data, address, host.nbytes, kind, stream._stream
        ) == (cuda.cudaError_t.cudaSuccess,)

    driver.init, driver.Device, driver.Stream, driver.Event, driver.mem_alloc = (
        lambda: None,
        Device,
        Stream,
        Event,
        Allocation,
    )
    driver.Error, driver.MemoryError = RuntimeError, MemoryError
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = htod, dtoh
    driver.pagelocked_empty = lambda nbytes, dtype: empty(
        max(nbytes, 1), uint8, pin_memory=True
    ).numpy()[:nbytes]
    package: Any = types.ModuleType("pycuda")
    package.driver = driver
    return {"pycuda": package, "pycuda.driver": driver}
