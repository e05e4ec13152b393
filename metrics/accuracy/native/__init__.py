"""Classes counted in calls of compiled code, where a compiler is; else by numpy."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import numpy as np

from portproof.core import progress
from portproof.metrics.accuracy.contents import Logits
from portproof.metrics.accuracy.row_counts import Counting, Counts, count_by_numpy
from portproof.preprocess.pixels.native.build import CoreUnavailable, library

_SOURCES = ("counts.c",)


class CompiledCounting:
    """The loaded library; :class:`CoreUnavailable` when it cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            self._count = ctypes.CDLL(str(path)).portproof_count
        except OSError as error:
            raise CoreUnavailable(f"it cannot be loaded: {error}") from error
        self._count.restype = None
        sizes, place = (ctypes.c_size_t, ctypes.c_size_t), ctypes.c_void_p
        self._count.argtypes = (place, *sizes, place, place, place)
        if not self._is_right():
            raise CoreUnavailable("it does not count what numpy counts")

    def __call__(self, logits: Logits, own: Logits) -> Counts:
        """As :func:`count_by_numpy`, which counts what is not float32."""
        if logits.dtype != np.float32:
            return count_by_numpy(logits, own)
        logits, own = np.ascontiguousarray(logits), np.ascontiguousarray(own)
        not_below, equal = np.empty((2, len(logits)), np.int64)
        places = (array.ctypes.data for array in (own, not_below, equal))
        self._count(logits.ctypes.data, *logits.shape, *places)
        return not_below, equal

    def _is_right(self) -> bool:
        own = np.array([1, -1, 0.5, np.nan, -0.0, np.inf, 0, -np.inf, 1e-45], np.float32)
        logits = np.tile(own, (len(own), 5))
        return all(map(np.array_equal, self(logits, own), count_by_numpy(logits, own)))


@functools.cache
def counting() -> Counting:
    """How this process counts; it is said once where numpy must."""
    try:
        return CompiledCounting(library("counts", Path(__file__).parent, _SOURCES, ()))
    except CoreUnavailable as reason:
        progress.say(f"classes are counted by numpy, more slowly ({reason})")
        return count_by_numpy
