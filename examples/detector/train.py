"""Train the detector: each digit is the row of the cell that holds its centre."""

from __future__ import annotations

import json
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

EPOCHS, GRID, STRIDE = 14, 8, 8


def targets(truth: Path) -> tuple[list[str], Sequence[Any]]:
    """The ids, and (N, 64, 6): whether a digit's centre is there, its centre and size in pixels of
    the letterboxed input, and which it is.
    """
    from portproof.manifest import sample_id
    from portproof.preprocess.pixels.geometry import plan

    document, recipe = json.loads(truth.read_text()), card_of(__file__).preprocessing
    rows = np.zeros((len(document["images"]), GRID * GRID, 6), np.float32)
    places = {image["id"]: number for number, image in enumerate(document["images"])}
    for annotation in document["annotations"]:
        number = places[annotation["image_id"]]
        image = document["images"][number]
        steps = plan(recipe, image["height"], image["width"])
        x, y, width, height = annotation["bbox"]
        gains = steps.width / image["width"], steps.height / image["height"]
        cx = (x + width / 2) * gains[0] + steps.columns.place
        cy = (y + height / 2) * gains[1] + steps.rows.place
        cell = int(cy // STRIDE) * GRID + int(cx // STRIDE)
        size = (width * gains[0], height * gains[1])
        rows[number, cell] = (1, cx, cy, *size, annotation["category_id"])
    return [sample_id(image["file_name"]) for image in document["images"]], [rows]


def loss(net: Any, inputs: Sequence[Any], known: Sequence[Any]) -> Any:
    """Of objectness, boxes and classes."""
    from torch.nn import functional as F

    raw, rows = net.raw(inputs[0]), known[0]
    there = rows[..., 0] > 0
    objectness = F.binary_cross_entropy_with_logits(
        raw[..., 4], rows[..., 0], reduction="sum"
    ) / max(1, int(there.sum()))
    own, wanted = raw[there], rows[there]
    corners = net.corners.expand(len(rows), -1, -1)[there]
    centre = F.smooth_l1_loss(own[:, 0:2].sigmoid(), (wanted[:, 1:3] - corners) / STRIDE)
    size = F.smooth_l1_loss(own[:, 2:4], (wanted[:, 3:5] / (2 * STRIDE)).log())
    classes = F.cross_entropy(own[:, 5:], wanted[:, 5].long())
    return objectness + 5 * centre + 5 * size + classes


if __name__ == "__main__":
    training_command(__file__, targets, loss, EPOCHS)
