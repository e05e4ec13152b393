"""The label file: one line a sample, ``<file name> <class>``, the class counted from zero."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.manifest import check_unique, sample_id

_LINE = re.compile(r"^[ \t]*(\S+)[ \t]+([0-9]{1,9})[ \t]*$", re.MULTILINE)


def read_labels(path: str | os.PathLike[str]) -> dict[str, int]:
    """Sample id -> class, in the order of the file (ImageNet's ``val_label.txt``:
    ``ILSVRC2012_val_00000001.JPEG 65``).

    :class:`InputError` when a line is malformed, when two lines have one sample id, or when the
    file holds no label.
    """
    text = read_text(path, "label file")
    found = _LINE.findall(text)
    lines = text.rstrip("\n").split("\n")
    if len(found) < len(lines):
        _check_lines(lines, path)
    ids = [sample_id(name) for name, _ in found]
    if not ids:
        raise InputError(
            f"label file '{path}' is empty: one line '<file name> <class>' for every sample was"
            " expected"
        )
    labels = {sample: int(number) for sample, (_, number) in zip(ids, found, strict=True)}
    if len(labels) < len(ids):
        check_unique(ids, f"label file '{path}'")
    return labels


def _check_lines(lines: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Refuse the first line that is neither a label nor blank."""
    for number, line in enumerate(lines, start=1):
        if line.strip() and not _LINE.fullmatch(line):
            raise InputError(
                f"label file '{path}', line {number}: '<file name> <class>' with a class counted"
                f" from 0, of 9 digits at most, was expected, got {line.strip()[:80]!r}"
            )
