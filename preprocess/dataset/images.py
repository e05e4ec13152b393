"""Finding the images of a data set: a flat folder, or ImageNet's class folders
(``n01440764/ILSVRC2012_val_00000293.JPEG``).
"""

from __future__ import annotations

import os
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import existing_folder
from portproof.manifest import check_unique, files_in, sample_id

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files of a data set, sorted by sample id; recognised by their suffix, in any letter
    case.

    :class:`InputError` if there are none, if they are both in the folder itself and in
    folders inside it, or if two have one sample id (their ``.bin`` files would overwrite each
    other).
    """
    root = existing_folder(folder, "images")
    flat = files_in(root, IMAGE_SUFFIXES)
    nested = [
        path for name in class_folders(root) for path in files_in(root / name, IMAGE_SUFFIXES)
    ]
    if flat and nested:
        raise InputError(
            f"'{root}' holds images both itself and in folders such as '{nested[0].parent.name}';"
            " give one kind of folder"
        )
    images = flat or nested
    if not images:
        raise InputError(
            f"'{root}' holds no images, and neither do the folders in it; expected were files"
            f" ending in {', '.join(IMAGE_SUFFIXES)}"
        )
    check_unique((sample_id(p) for p in images), f"images in '{root}'")
    return sorted(images, key=sample_id)


def class_folders(root: Path) -> list[str]:
    """The names of the folders in a data set's folder, sorted: the class of an image is the index
    of its folder in this list.
    """
    with os.scandir(root) as entries:
        return sorted(
            entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
        )
