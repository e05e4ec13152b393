"""Write strips with numbers of three to six digits, and what they say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

EXAMPLES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[0] = os.path.join(os.path.dirname(EXAMPLES), "src")
sys.path.insert(1, EXAMPLES)

import numpy as np
from parts.making import Digits, coloured, data_command, write_image

from portproof.core.files import write_text

SIZES = {"train": 2500, "val": 600}
HEIGHT, WIDTH = 32, 160


def write(out: Path, part: str, count: int, rng: np.random.Generator) -> list[Path]:
    """The strips of a part and their texts."""
    digits, files, lines = Digits(part), list[Path](), list[str]()
    for number in range(1, count + 1):
        ink, text, left = np.zeros((HEIGHT, WIDTH)), "", int(rng.integers(0, 10))
        for _ in range(int(rng.integers(3, 7))):
            own, digit = digits.take(rng, int(rng.integers(20, 26)))
            top, side = int(rng.integers(0, HEIGHT - len(own) + 1)), len(own)
            if left + side > WIDTH:
                break
            ink[top : top + side, left : left + side] = own
            text, left = f"{text}{digit}", left + side + int(rng.integers(-3, 3))
        name = f"strip_{part}_{number:05d}.JPEG"
        files.append(write_image(out / part / name, coloured(rng, ink), quality=95))
        lines.append(f"{name}\t{text}\n")
    write_text(out / f"{part}.txt", "".join(lines))
    return [*files, out / f"{part}.txt"]


if __name__ == "__main__":
    data_command("Write strips with numbers, and what they say.", SIZES, write, __file__)
