"""Tensors of the simulated ``aclruntime``: on the host or on a device, unchecked in everything but
their number of bytes.
"""

from __future__ import annotations

import ctypes
import operator
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from portproof.rehearsal import device_count
from portproof.rehearsal.device.acl import SimulatedCrash, acl, failure
from portproof.rehearsal.device.acl_types import INT, dtype, dtype_of, is_int, memory_type, mismatch


def raw_bytes(array: np.ndarray[Any, Any]) -> bytes:
    """``nbytes`` bytes from where the array begins in memory: strides are ignored."""
    return (
        ctypes.string_at(array.__array_interface__["data"][0], array.nbytes)
        if array.nbytes
        else b""
    )


class MemorySummary:
    """Copies' times in ms, of the whole process."""

    _h2d: ClassVar[list[float]] = []
    _d2h: ClassVar[list[float]] = []

    @property
    def H2D_time_list(self) -> list[float]:
        """Host to device, one a copy."""
        return list(MemorySummary._h2d)

    @property
    def D2H_time_list(self) -> list[float]:
        """Device to host, one a copy."""
        return list(MemorySummary._d2h)

    def reset(self) -> None:
        """Forget both lists."""
        MemorySummary._h2d.clear()
        MemorySummary._d2h.clear()


def note_copy(to_device: bool, milliseconds: float) -> None:
    """Note the time of one copy."""
    (MemorySummary._h2d if to_device else MemorySummary._d2h).append(
        float(np.float32(milliseconds))
    )


class BaseTensor:
    """A host address and a number of bytes, borrowed: who made it keeps the memory."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs or len(args) != 2 or not all(is_int(a) for a in args):
            raise mismatch(
                "__init__",
                "constructor",
                [f"aclruntime.BaseTensor(arg0: {INT}, arg1: {INT})"],
                args,
                kwargs,
            )
        self.buf, self.size = operator.index(args[0]), operator.index(args[1])


class Tensor:
    """Bytes with a dtype and a shape, on the host (``device`` -1) or on a device."""

    _null = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            if kwargs or len(args) != 1:
                raise TypeError
            memoryview(args[0])
        except TypeError:
            raise mismatch(
                "__init__",
                "constructor",
                ["aclruntime.Tensor(arg0: typing_extensions.Buffer)"],
                args,
                kwargs,
            ) from None
        array = np.asarray(args[0])
        self._fill(raw_bytes(array), array.dtype.name, list(array.shape), -1)

    def _fill(self, data: bytes, name: str, shape: list[int], device: int) -> None:
        self.data, self._shape, self._device, self._dvpp = data, shape, device, False
        self._dtype = dtype_of(name)
        self.numpy_name = name if self._dtype is not dtype["uint8"] else "uint8"

    @classmethod
    def on_device(cls, array: np.ndarray[Any, Any], device: int) -> Tensor:
        """An output, as ``run`` returns it."""
        tensor = cls.__new__(cls)
        tensor._fill(array.tobytes(), array.dtype.name, list(array.shape), device)
        return tensor

    @classmethod
    def null(cls) -> Tensor:
        """The tensor without memory that a name asked for twice gives."""
        tensor = cls.on_device(np.zeros(0, np.uint8), 0)
        tensor._null = True
        return tensor

    device = property(lambda self: self._device)
    dtype = property(lambda self: self._dtype)
    shape = property(lambda self: list(self._shape))

    @property
    def type(self) -> Any:
        """Where the memory is."""
        return memory_type[
            "memory_dvpp" if self._dvpp else "memory_host" if self._device < 0 else "memory_device"
        ]

    def __str__(self) -> str:
        shape = ", ".join(map(str, self._shape))
        return f"<Tensor>\nshape:\t({shape})\ndtype:\t{self._dtype.name}\ndevice:\t{self._device}"

    __repr__ = __str__

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        if self._null:
            raise SimulatedCrash("an array of a null tensor")
        if self._device >= 0:
            # The real library's buffer error is swallowed by NumPy, which then wraps the object
            # itself.
            wrapped = np.empty((), object)
            wrapped[()] = self
            return wrapped
        return np.frombuffer(self.data, self.numpy_name).reshape(self._shape).copy()

    def to_device(self, *args: Any, **kwargs: Any) -> None:
        """Move to a device."""
        if kwargs or len(args) != 1 or not is_int(args[0]):
            raise mismatch(
                "to_device",
                "function",
                [f"(self: aclruntime.Tensor, arg0: {INT}) -> None"],
                (self, *args),
                kwargs,
            )
        count = device_count() if acl.initialised else 0
        if not 0 <= args[0] < count:
            acl.out.write(f"deviceId({args[0]}) is bigger than deviceCount({count})\n")
            raise failure(1004)
        acl.enter(args[0])
        self._device = operator.index(args[0])

    def to_dvpp(self, *args: Any, **kwargs: Any) -> None:
        """Move to a device's image memory."""
        self.to_device(*args, **kwargs)
        self._dvpp = True

    def to_host(self) -> None:
        """Move back, in place."""
        if self._device >= 0 and not acl.initialised:
            acl.not_initialised(self._device)
            acl.out.write("SetDevice failed. ret=100001\nSetContext failed. ret=100001\n")
            raise failure(100001)
        if self._device >= 0:
            note_copy(False, 0.001)
        self._device, self._dvpp = -1, False


def batch(inputs: Sequence[Tensor], keep_dims: bool = False) -> Tensor:
    """Host tensors of one shape as one; device tensors fail, as in the real function."""
    if any(t.device >= 0 for t in inputs):
        acl.recent_error(
            f"aclrtSetDevice: device -1 does not exist, there are {device_count()} (ret=107001)"
        )
        acl.out.write(
            "[ERROR] acl open device -1 failed\nSetDevice failed. ret=107001\nBatchConcat failed."
            " ret=107001\n"
        )
        raise failure(107001)
    arrays = [np.asarray(t) for t in inputs]
    return Tensor(np.concatenate(arrays) if keep_dims else np.stack(arrays))
