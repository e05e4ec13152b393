"""Pictures; ready ones are a folder of image files, one a sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.manifest import files_in
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import Loaded, sample_files
from portproof.metrics.truth.pixel_files import PICTURES, read_picture


@dataclass(frozen=True, eq=False)
class Picture:
    """``pixels``: (height, width, 1 or 3) levels of 0 to 255, RGB; ``border``: pixels on each side
    that are not judged.
    """

    pixels: NDArray[np.float64]
    border: int = 0


def read(path: Path, truth: Truth) -> Mapping[str, Any] | None:
    """The pictures of a folder; None for a folder without image files."""
    if not path.is_dir() or not files_in(path, PICTURES):
        return None
    files = sample_files(path, PICTURES, "image folder")
    return Loaded(files, lambda file: Picture(read_picture(file)))
