"""Memory for large arrays that come and go: each page of memory that is new to a process is cleared
by the system when it is first touched, which takes as long as copying it does.
"""

from __future__ import annotations

import math
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt


class Memory:
    """Gives arrays the memory of those that are gone; safe to use from several threads.

    An array's memory is free when nobody holds the array or a view of it any more, just as it would
    be freed. What was taken at the same time stays with this object.
    """

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """As ``numpy.empty``: an array in C order, whose values are whatever was there."""
        memory = self._taken(math.prod(shape) * np.dtype(dtype).itemsize)
        # Over no array of NumPy's: a view of it would then hold that one, and not this array.
        array: npt.NDArray[Any] = np.ndarray(shape, dtype, memory)
        weakref.finalize(array, self._free.append, memory).atexit = False
        return array

    def _taken(self, size: int) -> bytearray:
        """Memory of an array that is gone, if it is large enough, else new."""
        try:
            memory = self._free.pop()
        except IndexError:
            return bytearray(size)
        return memory if len(memory) >= size else bytearray(size)
