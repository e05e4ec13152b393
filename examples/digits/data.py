"""Write scikit-learn's digits as JPEG files: 1100 to train with, 697 kept apart to validate.

The images are real (8 x 8 scans of hand-written digits from the UCI repository, shipped inside
scikit-learn). They are enlarged to 40 x 40 so that resizing and cropping have something to do. 697
because fewer than about 600 validation images cannot prove a loss under one percentage point.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path[0] = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "src"
)

from portproof.core.arguments import Parser, run_stage

VALIDATION = 697
SIDE = 40
SEED = 20


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Write scikit-learn's digits as JPEG files.",
        example="python examples/digits/data.py runs/demo/data",
    )
    p.add_argument(
        "out",
        metavar="OUT_DIR",
        type=Path,
        help="gets train/, train_label.txt, val/ and val_label.txt",
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Write the images and the labels, unless they are there."""
    from portproof.core import progress
    from portproof.proof.work import Work

    progress.configure(options.quiet, options.log_json)
    files: list[Path] = []
    job = Work(
        "data",
        options.out,
        inputs={},
        parameters={"validation": VALIDATION, "side": SIDE, "seed": SEED},
        packages=("scikit-learn", "Pillow"),
    )
    if job.is_done():
        return 0
    job.begin()
    for part, images, labels in split():
        files += write_part(options.out, part, images, labels)
    job.finish(
        files,
        facts={
            "train": len(files) - VALIDATION - 2,
            "validation": VALIDATION,
            "source": "sklearn.datasets.load_digits",
        },
    )
    return 0


def split():  # type: ignore[no-untyped-def]
    """(name, images, labels) of the two parts: a stratified split, seeded."""
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
        test_size=VALIDATION,
        stratify=digits.target,
        random_state=SEED,
    )
    return (("train", train_x, train_y), ("val", val_x, val_y))


def write_part(out: Path, part: str, images, labels) -> list[Path]:  # type: ignore[no-untyped-def]
    """Write one part's JPEG files and its label list; returns all files."""
    import numpy as np
    from PIL import Image

    from portproof.core.files import atomic_writer, write_text

    written = []
    for index, image in enumerate(images):
        path = out / part / f"digit_{part}_{index:05d}.JPEG"
        picture = Image.fromarray(np.uint8(np.round(image * 255 / 16)), mode="L").resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        with atomic_writer(path, durable=False) as file:
            picture.save(file, "JPEG", quality=95)
        written.append(path)
    labels_file = out / f"{part}_label.txt"
    write_text(
        labels_file,
        "".join(f"{p.name} {label}\n" for p, label in zip(written, labels, strict=True)),
    )
    return [*written, labels_file]


if __name__ == "__main__":
    run_stage(parser, work)
