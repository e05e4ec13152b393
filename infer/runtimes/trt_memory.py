"""The memory of one input or output of an engine: page-locked host, and device."""

from __future__ import annotations

from typing import Any

import numpy as np

from portproof.backend import Array
from portproof.infer.runtimes.gpu import Gpu


class Buffer:
    """Grows and never shrinks: addresses stay, and no timed call allocates."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self._host: Array = np.empty(0, np.uint8)
        self._address = self._room = self._used = 0

    def reserve(self, nbytes: int) -> int:
        """The address of at least ``nbytes`` on the device; moving it loses the content."""
        if nbytes > self._room or not self._address:
            if self._address:
                self._gpu.synchronize()
                self._gpu.free(self._address)
            self._address, self._room = self._gpu.allocate(nbytes), nbytes
        self._used = nbytes
        return self._address

    def fill(self, array: Array) -> None:
        """Put an array into the page-locked memory."""
        self._locked(array.nbytes)[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def to_device(self) -> None:
        """Enqueue the copy of all that is used."""
        if self._used:
            self._gpu.to_device(self._address, self._locked(self._used))

    def to_host(self, nbytes: int) -> None:
        """Enqueue the copy of the first bytes."""
        self._used = nbytes
        if nbytes:
            self._gpu.to_host(self._locked(nbytes), self._address)

    def read(self, dtype: str, shape: tuple[int, ...]) -> Array:
        """A new array of what was copied to the host."""
        return self._locked(self._used).view(dtype).reshape(shape).copy()

    def _locked(self, nbytes: int) -> Array:
        if nbytes > self._host.nbytes:
            self._host = self._gpu.page_locked(nbytes)
        return self._host[:nbytes]


def output_allocator(trt: Any, buffer: Buffer) -> Any:
    """TensorRT's ``IOutputAllocator`` for an output whose size is known only when the engine has
    run; its ``shape`` is that of the last run.

    TensorRT 10 and 11 call ``reallocate_output_async``, older code paths ``reallocate_output``.
    """

    class Allocator(trt.IOutputAllocator):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IOutputAllocator.__init__(self)
            self.shape: tuple[int, ...] = ()

        def reallocate_output_async(
            self, tensor_name: str, memory: int, size: int, alignment: int, stream: Any
        ) -> int:
            return buffer.reserve(size)

        def reallocate_output(
            self, tensor_name: str, memory: int, size: int, alignment: int
        ) -> int:
            return buffer.reserve(size)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:
            self.shape = tuple(shape)

    return Allocator()
