"""Counts over the classes of each row, by numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.accuracy.contents import Logits

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]
Counting = Callable[[Logits, Logits], Counts]


def count_by_numpy(logits: Logits, own: Logits) -> Counts:
    """How many logits of each row are not below the row's ``own``, and how many equal it."""
    return count_true(logits >= own[:, None]), count_true(logits == own[:, None])


#: Words that are added without one of their bytes passing 255.
_WORDS = 255


def count_true(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true in each row. Where rows are whole words of eight bytes, words are added,
    which takes a quarter of the time.
    """
    count = np.zeros(len(mask), np.int64)
    if mask.shape[1] % 8:
        count += mask.sum(axis=1, dtype=np.int64)
        return count
    words = np.ascontiguousarray(mask).view(np.uint64)
    for first in range(0, words.shape[1], _WORDS):
        sums = np.add.reduce(words[:, first : first + _WORDS], axis=1)
        count += sums.view(np.uint8).reshape(-1, 8).sum(axis=1, dtype=np.int64)
    return count
