"""Ground truth of tasks other than classification, by sample id; one file for each format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portproof.core.files import sha256_of


@dataclass(frozen=True)
class Truth:
    """What is true of every sample, in the order in which they are counted.

    ``samples``: sample id -> its truth, in the form that its task's ``contribution`` takes.
    ``files``: what was read, for sidecars. ``sizes``: sample id -> (height, width) in pixels, where
    the truth knows it. ``facts``: what belongs to no sample (``classes``: id -> name, ...).
    """

    samples: Mapping[str, Any]
    files: Sequence[Path]
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def size(self, sample: str) -> tuple[int, int] | None:
        """(height, width) of a sample in pixels, None where the truth does not say it."""
        return self.sizes.get(sample)


def truth_files(path: Path) -> list[Path]:
    """The files that a truth is made of: the file itself, or those of a folder, sorted."""
    if not path.is_dir():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))


def truth_digest(files: Sequence[Path]) -> str:
    """One SHA-256 for the names and the bytes of the files of a truth: outcomes of another truth do
    not compare.
    """
    import hashlib

    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name} {sha256_of(path)}\n".encode("utf-8", "surrogateescape"))
    return total.hexdigest()
