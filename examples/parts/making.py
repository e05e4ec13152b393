"""The command that makes an example's data, and scikit-learn's digits drawn on canvases.

The digits are real (8 x 8 scans from the UCI repository, shipped inside scikit-learn). They are
split first, so that no digit that a model was trained with is in a picture that judges it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.arguments import Parser, run_stage

SEED = 20
#: The share of the digits that is kept apart to validate.
_VALIDATION_SHARE = 0.4
_LEVELS = 16

#: Writes one part (``train`` or ``val``) of the data under a folder; returns its files.
Writer = Callable[[Path, str, int, np.random.Generator], list[Path]]


def data_command(description: str, sizes: dict[str, int], write: Writer, code: str) -> None:
    """Run ``data.py OUT_DIR``: write both parts with ``write``, unless they are there. ``sizes``:
    samples of each part; ``code``: the file that calls this.
    """

    def parser() -> Parser:
        p = Parser(description, example=f"python {code} runs/demo/data")
        p.add_argument("out", metavar="OUT_DIR", type=Path, help="gets train* and val*")
        p.add_progress_options()
        return p

    def work(options: argparse.Namespace) -> int:
        from portproof.core import progress
        from portproof.proof.work import Work

        progress.configure(options.quiet, options.log_json)
        job = Work(
            "data",
            options.out,
            inputs={"maker": [Path(code), Path(__file__)]},
            parameters={"sizes": sizes, "seed": SEED},
            packages=("scikit-learn", "numpy", "Pillow"),
        )
        if job.is_done():
            return 0
        job.begin()
        files = list[Path]()
        for number, (part, count) in enumerate(sizes.items()):
            files += write(options.out, part, count, np.random.default_rng([SEED, number]))
        job.finish(files, facts=dict(sizes))
        return 0

    run_stage(parser, work)


@dataclass(frozen=True)
class Drawn:
    """A canvas, (height, width, 3) 8-bit levels; a box (x, y, width, height) in pixels and the
    digit in it for each; ``mask``: (height, width), 0 or 1 + the digit whose ink is there.
    """

    pixels: NDArray[np.uint8]
    boxes: list[tuple[int, int, int, int]]
    digits: list[int]
    mask: NDArray[np.uint8]


class Digits:
    """The digits of one part, and canvases with some of them."""

    def __init__(self, part: str) -> None:
        from portproof.core.errors import MissingPackageError

        try:
            from sklearn.datasets import load_digits
            from sklearn.model_selection import train_test_split
        except ImportError as error:
            raise MissingPackageError("scikit-learn", "the demonstration", "demo") from error
        digits = load_digits()
        train_x, val_x, train_y, val_y = train_test_split(
            digits.images,
            digits.target,
            test_size=_VALIDATION_SHARE,
            stratify=digits.target,
            random_state=SEED,
        )
        self.images, self.labels = {"train": (train_x, train_y), "val": (val_x, val_y)}[part]

    def take(self, rng: np.random.Generator, side: int) -> tuple[NDArray[np.float64], int]:
        """A digit's ink, (side, side) from 0 to 1, and which digit it is."""
        from PIL import Image

        at = int(rng.integers(len(self.labels)))
        ink = Image.fromarray(np.uint8(np.round(self.images[at] * 255 / _LEVELS)))
        scaled = ink.resize((side, side), Image.Resampling.BICUBIC)
        return np.asarray(scaled, np.float64) / 255, int(self.labels[at])

    def canvas(
        self, rng: np.random.Generator, size: tuple[int, int], sides: Sequence[int]
    ) -> Drawn:
        """A canvas of ``size`` (height, width) with a digit for each of ``sides``, where there is
        room beside the others.
        """
        ink = np.zeros(size)
        found = Drawn(np.zeros((*size, 3), np.uint8), [], [], np.zeros(size, np.uint8))
        for side in sides:
            own, digit = self.take(rng, side)
            place = _free(rng, found.boxes, size, side)
            if place is None:
                continue
            y, x = place
            ink[y : y + side, x : x + side] = own
            found.boxes.append(_box_of(own, x, y))
            found.digits.append(digit)
            found.mask[y : y + side, x : x + side][own > 0.35] = digit + 1
        found.pixels[:] = coloured(rng, ink)
        return found


def coloured(rng: np.random.Generator, ink: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Ink of one colour on a ground of another, with noise: (height, width, 3)."""
    ground, pen = rng.uniform(0, 110, 3), rng.uniform(150, 255, 3)
    mixed = ground + ink[..., None] * (pen - ground) + rng.normal(0, 12, (*ink.shape, 3))
    return np.uint8(np.clip(np.round(mixed), 0, 255))


def _free(
    rng: np.random.Generator,
    boxes: Sequence[tuple[int, int, int, int]],
    size: tuple[int, int],
    side: int,
) -> tuple[int, int] | None:
    for _ in range(30):
        y, x = (int(rng.integers(0, whole - side + 1)) for whole in size)
        apart = (
            x + side < bx or bx + width < x or y + side < by or by + height < y
            for bx, by, width, height in boxes
        )
        if all(apart):
            return y, x
    return None


def _box_of(ink: NDArray[np.float64], x: int, y: int) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(ink > 0.2)
    left, top = int(columns.min()), int(rows.min())
    return x + left, y + top, int(columns.max()) - left + 1, int(rows.max()) - top + 1


def write_image(path: Path, pixels: NDArray[Any], **options: Any) -> Path:
    """Write an image file, of the format of its suffix."""
    from PIL import Image

    from portproof.core.files import atomic_writer

    kind = {".jpeg": "JPEG", ".png": "PNG"}[path.suffix.lower()]
    with atomic_writer(path, durable=False) as file:
        Image.fromarray(pixels).save(file, kind, **options)
    return path
