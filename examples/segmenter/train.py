"""Train the segmenter on masks that were brought to the size of its input."""

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
from parts.training import card_of, training_command

EPOCHS = 12
#: Most pixels are ground.
GROUND_WEIGHT = 0.3


def targets(truth: Path) -> tuple[list[str], Sequence[Any]]:
    """The ids, and the classes (N, height, width) at the size of the input."""
    from PIL import Image

    from portproof.manifest import sample_id

    files = sorted(truth.glob("*.png"))
    height, width = card_of(__file__).preprocessing.size
    masks = [
        np.asarray(Image.open(file).resize((width, height), Image.Resampling.NEAREST), np.int64)
        for file in files
    ]
    return [sample_id(file) for file in files], [np.stack(masks)]


def loss(net: Any, inputs: Sequence[Any], known: Sequence[Any]) -> Any:
    """The cross-entropy of the pixels."""
    import torch
    from torch.nn import functional as F

    weights = torch.ones(11)
    weights[0] = GROUND_WEIGHT
    # Pixels as rows: the loss of maps has no deterministic form on every device.
    scores = net(inputs[0]).permute(0, 2, 3, 1).reshape(-1, 11)
    return F.cross_entropy(scores, known[0].reshape(-1), weights)


if __name__ == "__main__":
    training_command(__file__, targets, loss, EPOCHS)
