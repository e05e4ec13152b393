"""Tags of words; ready ones are CoNLL (the tag last), or JSON with ``id`` and ``tags``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portproof.metrics.truth import Truth
from portproof.metrics.truth.sentences import tags_in

_SUFFIXES = (".txt", ".tsv", ".conll", ".json", ".jsonl")


def read(path: Path, truth: Truth) -> Mapping[str, list[str]] | None:
    """The tags of a file; None for a folder."""
    if path.is_dir() or path.suffix not in _SUFFIXES:
        return None
    return tags_in(path, "predictions")
