"""Train the classifier of sentences."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.training import training_command

EPOCHS = 8


def targets(truth: Path) -> tuple[list[str], Sequence[Any]]:
    """The ids and the topics (N,)."""
    rows = [line.split() for line in truth.read_text().splitlines()]
    return [name for name, _ in rows], [np.array([int(topic) for _, topic in rows], np.int64)]


def loss(net: Any, inputs: Sequence[Any], known: Sequence[Any]) -> Any:
    """The cross-entropy."""
    from torch.nn import functional as F

    return F.cross_entropy(net(*inputs), known[0])


if __name__ == "__main__":
    training_command(__file__, targets, loss, EPOCHS)
