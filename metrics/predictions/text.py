"""Texts by sample; ready ones are transcripts: ``<file name><tab or blank><text>`` lines in a
``.txt`` or ``.tsv`` file, or JSON with ``id`` and ``text``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from portproof.metrics.truth import Truth
from portproof.metrics.truth.transcripts import texts_in

_SUFFIXES = (".txt", ".tsv", ".json", ".jsonl")


def read(path: Path, truth: Truth) -> Mapping[str, str] | None:
    """The texts of a file; None for a folder."""
    if path.is_dir() or path.suffix not in _SUFFIXES:
        return None
    return texts_in(path, "predictions")
