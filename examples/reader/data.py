"""Write canvases with one to four digits, and what they say from left to right."""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import Digits, data_command, write_image

from portproof.core.files import write_text

#: The models are those of the detector and the recogniser, so there is nothing to train with.
SIZES = {"val": 600}


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The canvases and their texts."""
    digits, files, lines = Digits(part), list[Path](), list[str]()
    for number in range(1, count + 1):
        size = int(rng.integers(48, 97)), int(rng.integers(48, 97))
        drawn = digits.canvas(rng, size, rng.integers(16, 30, rng.integers(1, 5)))
        name = f"canvas_{part}_{number:05d}.JPEG"
        files.append(write_image(out / part / name, drawn.pixels, quality=95))
        ordered = sorted(zip(drawn.boxes, drawn.digits, strict=True))
        lines.append(f"{name}\t{''.join(str(digit) for _, digit in ordered)}\n")
    write_text(out / f"{part}.txt", "".join(lines))
    return [*files, out / f"{part}.txt"]


if __name__ == "__main__":
    data_command("Write canvases with digits, and what they say.", SIZES, write, __file__)
