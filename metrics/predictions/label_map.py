"""Class ids by pixel; ready ones are a folder of PNG masks, one a sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from portproof.manifest import files_in
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import Loaded, sample_files
from portproof.metrics.truth.pixel_files import MASKS, read_mask


def read(path: Path, truth: Truth) -> Mapping[str, Any] | None:
    """The masks of a folder, each (height, width) int64; None for a folder without PNG files."""
    if not path.is_dir() or not files_in(path, MASKS):
        return None
    return Loaded(sample_files(path, MASKS, "mask folder"), read_mask)
