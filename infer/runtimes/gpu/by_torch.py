"""CUDA memory, streams and events by PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from portproof.backend import Array
from portproof.core.errors import ToolError
from portproof.infer.runtimes.gpu import UnusableError


class TorchGpu:
    """A :class:`portproof.infer.runtimes.gpu.Gpu`. Tensors own the memory, so they are kept until
    it is freed.
    """

    package = "torch"

    def __init__(self, torch: Any, index: int) -> None:
        self._torch = torch
        self._device = torch.device("cuda", index)
        torch.cuda.set_device(self._device)
        self._stream = torch.cuda.Stream(self._device)
        self.stream = int(self._stream.cuda_stream)
        self.compute_capability = ".".join(map(str, torch.cuda.get_device_capability(self._device)))
        self._memory: dict[int, Any] = {}
        self._locked: dict[int, Any] = {}

    def allocate(self, nbytes: int) -> int:
        """New device memory."""
        try:
            tensor = self._torch.empty(max(nbytes, 1), dtype=self._torch.uint8, device=self._device)
        except RuntimeError as error:
            raise ToolError(
                f"the GPU has no {nbytes} bytes left: {' '.join(str(error).split())[:200]}"
            ) from error
        self._memory[tensor.data_ptr()] = tensor
        return int(tensor.data_ptr())

    def free(self, address: int) -> None:
        """Give back device memory."""
        del self._memory[address]

    def page_locked(self, nbytes: int) -> Array:
        """Page-locked host memory."""
        tensor = self._torch.empty(max(nbytes, 1), dtype=self._torch.uint8, pin_memory=True)
        array: Array = tensor.numpy()[:nbytes]
        self._locked[array.__array_interface__["data"][0]] = tensor
        return array

    def to_device(self, address: int, host: Array) -> None:
        """Enqueue a copy to the device."""
        with self._torch.cuda.stream(self._stream):
            self._memory[address][: host.nbytes].copy_(self._pinned(host), non_blocking=True)

    def to_host(self, host: Array, address: int) -> None:
        """Enqueue a copy to the host."""
        with self._torch.cuda.stream(self._stream):
            self._pinned(host).copy_(self._memory[address][: host.nbytes], non_blocking=True)

    def event(self) -> Any:
        """A new event."""
        return self._torch.cuda.Event(enable_timing=True)

    def record(self, event: Any) -> None:
        """Enqueue an event."""
        event.record(self._stream)

    def elapsed_s(self, start: Any, end: Any) -> float:
        """Seconds between two events."""
        return float(start.elapsed_time(end)) / 1e3

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture ``work`` as a graph."""
        graph = self._torch.cuda.CUDAGraph()
        try:
            with self._torch.cuda.graph(
                graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                work()
        # PyTorch's own, when it ends a capture that something broke: that is its context
        except RuntimeError as error:
            raise ToolError(
                "no CUDA graph could be captured:"
                f" {' '.join(str(error.__context__ or error).split())[:300]}"
            ) from error

        def launch() -> None:
            with self._torch.cuda.stream(self._stream):
                graph.replay()

        return launch

    def synchronize(self) -> None:
        """Wait for the stream."""
        try:
            self._stream.synchronize()
        except RuntimeError as error:
            raise ToolError(f"the GPU failed: {' '.join(str(error).split())[:200]}") from error

    def close(self) -> None:
        """Let go of all tensors and empty PyTorch's cache."""
        self._memory.clear()
        self._locked.clear()
        self._torch.cuda.empty_cache()

    def _pinned(self, host: Array) -> Any:
        """The page-locked tensor behind an array: PyTorch copies in the background only from
        tensors that it locked itself.
        """
        return self._locked[host.__array_interface__["data"][0]][: host.nbytes]


def open_gpu(index: int) -> TorchGpu:
    """The device of that number."""
    try:
        import torch
    except ImportError:
        raise UnusableError("not installed") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        raise UnusableError(f"it sees {count} CUDA devices")
    return TorchGpu(torch, index)
