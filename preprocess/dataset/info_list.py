"""Info lists of a folder of samples: the work of ``get_info.py``."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file, existing_folder
from portproof.manifest import Sample, files_in, sample_id, write_info
from portproof.proof.sidecar import sidecar_of
from portproof.proof.work import Work

JPEG_SUFFIXES = (".jpg", ".jpeg")


def bin_samples(folder: str, width: int, height: int) -> list[Sample]:
    """One sample a ``.bin`` file, sorted by name, with the size that was given."""
    names = [p.name for p in files_in(existing_folder(folder, "samples"), (".bin",))]
    if not names:
        raise InputError(
            f"'{folder}' holds no .bin files; expected was what preprocess/imagenet.py wrote"
        )
    return [Sample(sample_id(name), (os.path.join(folder, name),), width, height) for name in names]


def jpeg_samples(folder: str) -> list[Sample]:
    """One sample a JPEG file, sorted by name, with its header's size (EXIF not applied)."""
    names = [p.name for p in files_in(existing_folder(folder, "images"), JPEG_SUFFIXES)]
    if not names:
        raise InputError(
            f"'{folder}' holds no JPEG files; expected were files ending in"
            f" {', '.join(JPEG_SUFFIXES)}"
        )
    return [
        Sample(
            sample_id(name), (os.path.join(folder, name),), *image_size(os.path.join(folder, name))
        )
        for name in names
    ]


def image_size(path: str) -> tuple[int, int]:
    """Width and height of an image file, from its header (EXIF not applied)."""
    try:
        with Image.open(existing_file(path, "image")) as image:
            return image.size
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"'{path}' is not an image ({error}); replace or remove it") from error


def write_listing(info: Path, folder: str, samples: list[Sample]) -> None:
    """Write the list and its sidecar, unless the folder still holds what the list names."""
    digest = hashlib.sha256(repr(samples).encode("utf-8", "surrogateescape")).hexdigest()
    of_folder = sidecar_of(folder)
    work = Work(
        "info",
        info,
        inputs={"samples": [of_folder] if of_folder.is_file() else []},
        parameters={"folder": folder, "samples": len(samples), "sha256": digest},
    )
    if work.is_done():
        return
    work.begin()
    write_info(info, samples)
    work.finish([info], {"samples": len(samples)})
    progress.say(f"info: {len(samples)} samples in {info}")
