"""The logarithms of probabilities of tokens; they come from result files only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.truth import Truth


@dataclass(frozen=True, eq=False)
class TokenScores:
    """``values``: natural logarithms (tokens, vocabulary); row *i* is about token *i* +
    ``shift`` of the truth.
    """

    values: NDArray[np.float64]
    shift: int = 1


def read(path: Path, truth: Truth) -> Mapping[str, Any] | None:
    """None: there are no ready ones."""
    return None
