"""Write canvases with one to three digits, and a mask of classes for each."""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import Digits, data_command, write_image

SIZES = {"train": 1500, "val": 600}


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The canvases of a part and their masks: 0 is the ground, digit d is d + 1."""
    digits, files = Digits(part), list[Path]()
    for number in range(1, count + 1):
        size = int(rng.integers(40, 65)), int(rng.integers(40, 65))
        drawn = digits.canvas(rng, size, rng.integers(18, 30, rng.integers(1, 4)))
        name = f"canvas_{part}_{number:05d}"
        files.append(write_image(out / part / f"{name}.JPEG", drawn.pixels, quality=95))
        files.append(write_image(out / f"{part}_masks" / f"{name}.png", drawn.mask))
    return files


if __name__ == "__main__":
    data_command("Write canvases with digits, and their masks.", SIZES, write, __file__)
