"""CUDA memory, streams and events by cuda-python, whose calls give ``(error, *results)``."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from portproof.backend import Array
from portproof.core.errors import ToolError
from portproof.infer.runtimes.gpu import UnusableError


class BindingsGpu:
    """A :class:`portproof.infer.runtimes.gpu.Gpu`."""

    package = "cuda-python"

    def __init__(self, runtime: Any, index: int) -> None:
        self._runtime = runtime
        self._call("cudaSetDevice", index)
        self._stream = self._call("cudaStreamCreateWithFlags", runtime.cudaStreamNonBlocking)
        self.stream = int(self._stream)
        kinds = runtime.cudaDeviceAttr
        major, minor = (
            kinds.cudaDevAttrComputeCapabilityMajor,
            kinds.cudaDevAttrComputeCapabilityMinor,
        )
        self.compute_capability = ".".join(
            str(self._call("cudaDeviceGetAttribute", kind, index)) for kind in (major, minor)
        )
        self._memory: set[int] = set()
        self._locked: list[int] = []
        self._events: list[Any] = []
        self._graphs: list[Any] = []

    def allocate(self, nbytes: int) -> int:
        """New device memory."""
        address = int(self._call("cudaMalloc", max(nbytes, 1)))
        self._memory.add(address)
        return address

    def free(self, address: int) -> None:
        """Give back device memory."""
        self._memory.remove(address)
        self._call("cudaFree", address)

    def page_locked(self, nbytes: int) -> Array:
        """Page-locked host memory."""
        address = int(
            self._call("cudaHostAlloc", max(nbytes, 1), self._runtime.cudaHostAllocDefault)
        )
        self._locked.append(address)
        memory: Array = np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))
        return memory

    def to_device(self, address: int, host: Array) -> None:
        """Enqueue a copy to the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(
            "cudaMemcpyAsync",
            address,
            host.__array_interface__["data"][0],
            host.nbytes,
            kind,
            self._stream,
        )

    def to_host(self, host: Array, address: int) -> None:
        """Enqueue a copy to the host."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(
            "cudaMemcpyAsync",
            host.__array_interface__["data"][0],
            address,
            host.nbytes,
            kind,
            self._stream,
        )

    def event(self) -> Any:
        """A new event."""
        event = self._call("cudaEventCreate")
        self._events.append(event)
        return event

    def record(self, event: Any) -> None:
        """Enqueue an event."""
        self._call("cudaEventRecord", event, self._stream)

    def elapsed_s(self, start: Any, end: Any) -> float:
        """Seconds between two events."""
        return float(self._call("cudaEventElapsedTime", start, end)) / 1e3

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture ``work`` as a graph."""
        self._call(
            "cudaStreamBeginCapture",
            self._stream,
            self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal,
        )
        try:
            work()
        except ToolError as error:
            self._runtime.cudaStreamEndCapture(self._stream)  # fails too, by what broke the capture
            raise ToolError(f"no CUDA graph could be captured: {error}") from error
        graph = self._call("cudaStreamEndCapture", self._stream)
        launchable = self._call("cudaGraphInstantiate", graph, 0)
        self._call("cudaGraphDestroy", graph)
        self._graphs.append(launchable)
        return lambda: self._call("cudaGraphLaunch", launchable, self._stream)

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._call("cudaStreamSynchronize", self._stream)

    def close(self) -> None:
        """Free everything."""
        self.synchronize()
        for function, handles in (
            ("cudaGraphExecDestroy", self._graphs),
            ("cudaEventDestroy", self._events),
            ("cudaFree", self._memory),
            ("cudaFreeHost", self._locked),
            ("cudaStreamDestroy", [self._stream]),
        ):
            for handle in handles:
                self._call(function, handle)

    def _call(self, function: str, *arguments: Any) -> Any:
        """A function of the runtime: its one result, or None; its error is raised."""
        error, *results = getattr(self._runtime, function)(*arguments)
        if error != self._runtime.cudaError_t.cudaSuccess:
            raise ToolError(f"the GPU failed: {function} returned {error.name}")
        return results[0] if results else None


def open_gpu(index: int) -> BindingsGpu:
    """The device of that number."""
    try:
        from cuda.bindings import runtime  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise UnusableError("not installed") from None
    error, count = runtime.cudaGetDeviceCount()
    if error != runtime.cudaError_t.cudaSuccess:
        raise UnusableError(f"cudaGetDeviceCount returned {error.name}")
    if index >= count:
        raise UnusableError(f"it sees {count} CUDA devices")
    return BindingsGpu(runtime, index)
