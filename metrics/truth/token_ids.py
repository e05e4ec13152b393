"""The tokens of texts, as numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.truth import Truth
from portproof.metrics.truth.json_lines import json_lines, named


def read_token_ids(path: Path) -> Truth:
    """JSON with ``id`` and ``tokens``, a list of ids; -100 is a token that is not judged, as
    PyTorch's cross entropy has it. A sample's truth is an int64 array.
    """
    what = f"tokens '{path}'"
    found: dict[str, NDArray[np.int64]] = {}
    for number, entry in json_lines(path, "tokens"):
        tokens = entry.get("tokens")
        if (
            not isinstance(tokens, list)
            or not tokens
            or not all(type(t) is int and -100 <= t < 1 << 31 for t in tokens)
        ):
            raise InputError(f"{what}, entry {number}: 'tokens' with a list of ids was expected")
        found[named(entry, found, what, number)] = np.array(tokens, np.int64)
    return Truth(samples=found, files=[path])
