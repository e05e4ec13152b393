"""Train the recogniser by CTC (Graves et al. 2006): no place of a digit is told."""

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

EPOCHS, LONGEST = 16, 6


def targets(truth: Path) -> tuple[list[str], Sequence[Any]]:
    """The ids, the classes (N, 6), 1 + the digit, and how many there are of each."""
    from portproof.manifest import sample_id

    rows = [line.split("\t") for line in truth.read_text().splitlines()]
    classes = np.zeros((len(rows), LONGEST), np.int64)
    for number, (_, text) in enumerate(rows):
        classes[number, : len(text)] = [1 + int(digit) for digit in text]
    lengths = np.array([len(text) for _, text in rows], np.int64)
    return [sample_id(name) for name, _ in rows], [classes, lengths]


def loss(net: Any, inputs: Sequence[Any], known: Sequence[Any]) -> Any:
    """The CTC loss."""
    import torch
    from torch.nn import functional as F

    scores = net(inputs[0]).log_softmax(-1).transpose(0, 1)
    steps = torch.full((scores.shape[1],), scores.shape[0])
    return F.ctc_loss(scores, known[0], steps, known[1], zero_infinity=True)


if __name__ == "__main__":
    training_command(__file__, targets, loss, EPOCHS)
