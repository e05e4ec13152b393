"""One class a sample; ready ones are lines ``<file name> <class>``, as a label file has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portproof.metrics.truth import Truth
from portproof.metrics.truth.class_lines import classes_in

_SUFFIXES = (".txt", ".tsv", ".json", ".jsonl")


def read(path: Path, truth: Truth) -> Mapping[str, int] | None:
    """The classes of a file, as ids of the truth; None for a folder."""
    if path.is_dir() or path.suffix not in _SUFFIXES:
        return None
    return classes_in(path, "predictions", truth.facts["names"])
