"""The loop of the decoder: the best symbol at each place, fed back, to the end of the date."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LENGTH, BEGIN = 11, 0


def greedy(run: Callable[[Mapping[str, Any]], Any], feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Symbols (N, 11): the first is the begin, place t + 1 is the best of the scores at place t."""
    symbols = np.full((len(feeds["memory"]), LENGTH), BEGIN, np.int64)
    for place in range(LENGTH - 1):
        scores = run({**feeds, "symbols": symbols})["scores"]
        symbols[:, place + 1] = scores[:, place].argmax(-1)
    return {"symbols": symbols}
