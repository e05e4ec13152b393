"""Train the encoder and the decoder together, each symbol given those before it."""

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

EPOCHS, LENGTH, BEGIN, END = 12, 11, 0, 1


def targets(truth: Path) -> tuple[list[str], Sequence[Any]]:
    """The ids, and symbols (N, 12): the begin, the date, the end."""
    symbols = Path(__file__).with_name("symbols.txt").read_text().splitlines()
    rows = [line.split("\t") for line in truth.read_text().splitlines()]
    known = np.array([[BEGIN, *map(symbols.index, date), END] for _, date in rows], np.int64)
    return [name for name, _ in rows], [known]


def loss(net: Any, inputs: Sequence[Any], known: Sequence[Any]) -> Any:
    """The cross-entropy of every next symbol."""
    from torch.nn import functional as F

    ids, mask = inputs
    scores = net.decoder(net.encoder(ids, mask), mask, known[0][:, :LENGTH])
    return F.cross_entropy(scores.flatten(0, 1), known[0][:, 1:].flatten())


if __name__ == "__main__":
    training_command(__file__, targets, loss, EPOCHS, parts=("encoder", "decoder"))
