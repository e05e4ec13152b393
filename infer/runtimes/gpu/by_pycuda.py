"""CUDA memory, streams and events by pycuda, where it is installed; no CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError, ToolError
from portproof.infer.runtimes.gpu import UnusableError


class PycudaGpu:
    """A :class:`portproof.infer.runtimes.gpu.Gpu` in the device's primary context, which is
    TensorRT's too.
    """

    package = "pycuda"

    def __init__(self, driver: Any, index: int) -> None:
        self._driver = driver
        device = driver.Device(index)
        self._context = device.retain_primary_context()
        self._context.push()
        self._stream = driver.Stream()
        self.stream = int(self._stream.handle)
        self.compute_capability = ".".join(map(str, device.compute_capability()))
        self._memory: dict[int, Any] = {}

    def allocate(self, nbytes: int) -> int:
        """New device memory."""
        try:
            allocation = self._driver.mem_alloc(max(nbytes, 1))
        except self._driver.MemoryError as error:
            raise ToolError(f"the GPU has no {nbytes} bytes left: {error}") from error
        self._memory[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        """Give back device memory."""
        self._memory.pop(address).free()

    def page_locked(self, nbytes: int) -> Array:
        """Page-locked host memory."""
        array: Array = self._driver.pagelocked_empty(nbytes, np.uint8)
        return array

    def to_device(self, address: int, host: Array) -> None:
        """Enqueue a copy to the device."""
        self._driver.memcpy_htod_async(address, host, self._stream)

    def to_host(self, host: Array, address: int) -> None:
        """Enqueue a copy to the host."""
        self._driver.memcpy_dtoh_async(host, address, self._stream)

    def event(self) -> Any:
        """A new event."""
        return self._driver.Event()

    def record(self, event: Any) -> None:
        """Enqueue an event."""
        event.record(self._stream)

    def elapsed_s(self, start: Any, end: Any) -> float:
        """Seconds between two events."""
        return float(start.time_till(end)) / 1e3

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Refused."""
        raise InputError(
            "CUDA graphs need the buffers of torch or cuda-python; install one of them, or leave"
            " the option graph out"
        )

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._stream.synchronize()

    def close(self) -> None:
        """Free everything and leave the context."""
        for allocation in self._memory.values():
            allocation.free()
        self._memory.clear()
        self._context.pop()


def open_gpu(index: int) -> PycudaGpu:
    """The device of that number."""
    try:
        from pycuda import driver  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise UnusableError("not installed") from None
    try:
        driver.init()
        count = driver.Device.count()
    except driver.Error as error:
        raise UnusableError(str(error)) from None
    if index >= count:
        raise UnusableError(f"it sees {count} CUDA devices")
    return PycudaGpu(driver, index)
