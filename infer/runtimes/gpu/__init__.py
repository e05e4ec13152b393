"""Memory, streams and events of one CUDA device, by whichever package is here: one file a package,
``by_<package>.py``.

PyTorch comes first, since the reference model needs it anyway; cuda-python (``cuda.bindings``)
second; pycuda only where somebody has already installed it, since it has no wheels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

from portproof.backend import Array
from portproof.core.errors import InputError

#: Name as the option ``buffers`` spells it -> file here, in the order in which they are tried.
PACKAGES = {"torch": "by_torch", "cuda-python": "by_bindings", "pycuda": "by_pycuda"}


class Gpu(Protocol):
    """One device with one stream of its own (never the default stream, on which TensorRT
    synchronises more). Addresses are integers.

    All work is enqueued on the stream and is over after ``synchronize``; an address is valid until
    ``close``. A failing call raises :class:`portproof.core.errors.ToolError`.
    """

    #: The package, as in :data:`PACKAGES`; the stream's handle; the device's compute capability, as
    #: in ``7.5``.
    package: str
    stream: int
    compute_capability: str

    def allocate(self, nbytes: int) -> int:
        """The address of new device memory, at least 256-byte aligned."""

    def free(self, address: int) -> None:
        """Give back device memory; nothing may use it any more."""

    def page_locked(self, nbytes: int) -> Array:
        """Page-locked host memory, which the device copies itself: one dimension of uint8."""

    def to_device(self, address: int, host: Array) -> None:
        """Enqueue a copy of page-locked bytes to the device."""

    def to_host(self, host: Array, address: int) -> None:
        """Enqueue a copy of ``host.nbytes`` bytes from the device to page-locked memory."""

    def event(self) -> Any:
        """A new timing event."""

    def record(self, event: Any) -> None:
        """Enqueue an event."""

    def elapsed_s(self, start: Any, end: Any) -> float:
        """Seconds between two events that are over."""

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """A CUDA graph of what ``work`` enqueues: a function that enqueues the graph."""

    def synchronize(self) -> None:
        """Wait for the stream."""

    def close(self) -> None:
        """Free everything."""


class UnusableError(Exception):
    """A package cannot drive a GPU on this host; the text is a clause that says why."""


def open_gpu(index: int, package: str | None = None) -> Gpu:
    """The device of that number, by the package named or by the first one that works;
    :class:`InputError` says why none does.
    """
    if package is not None and package not in PACKAGES:
        raise InputError(f"there are no buffers by '{package}'; there are {', '.join(PACKAGES)}")
    reasons = []
    for name in [package] if package else PACKAGES:
        try:
            module = importlib.import_module(f"portproof.infer.runtimes.gpu.{PACKAGES[name]}")
            opened: Gpu = module.open_gpu(index)
            return opened
        except UnusableError as reason:
            reasons.append(f"{name}: {reason}")
    raise InputError(
        f"no package here can use CUDA device {index} ({'; '.join(reasons)}); run this on a host"
        " with an NVIDIA GPU"
    )
