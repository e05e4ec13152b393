"""The label file: one line a sample, ``<file name> <class>``, the class counted from zero."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import existing_file, read_text
from portproof.manifest import sample_id
from portproof.packed.ids import IdBuilder, SampleIds

#: A line, and in it the sample id (see :func:`portproof.manifest.sample_id`) and the class.
_LINE = re.compile(
    r"^[ \t]*+(?=\S)(?:[^\s/]*+/)*+([^\s./]*+)\S*+[ \t]++([0-9]{1,9})[ \t]*+$", re.MULTILINE
)
#: Characters that are read at once.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Labels:
    """The columns of a label file, in its order; no sample is there twice."""

    path: Path
    ids: SampleIds
    classes: NDArray[np.int32]


def read_labels(path: str | os.PathLike[str]) -> dict[str, int]:
    """Sample id -> class, in the order of the file (ImageNet's ``val_label.txt``:
    ``ILSVRC2012_val_00000001.JPEG 65``); see :func:`label_columns`.
    """
    labels = label_columns(path)
    return dict(zip(labels.ids, labels.classes.tolist(), strict=True))


def label_columns(path: str | os.PathLike[str]) -> Labels:
    """The same in columns, which take few bytes a sample.

    :class:`InputError` when a line is malformed, when two lines have one sample id, or when the
    file holds no label.
    """
    ids, classes, line = IdBuilder(), [np.zeros(0, np.int32)], 1
    try:
        with open(existing_file(path, "label file"), encoding="utf-8-sig") as file:
            while lines := file.readlines(_CHUNK):
                names, numbers = _columns(lines, line, path)
                ids.add(names)
                classes.append(np.fromiter(map(int, numbers), np.int32, len(numbers)))
                line += len(lines)
    except UnicodeDecodeError:
        read_text(path, "label file")  # says which byte of the file it is
        raise
    labels = Labels(Path(path), ids.ids(), np.concatenate(classes))
    if not len(labels.ids):
        raise InputError(
            f"label file '{path}' is empty: one line '<file name> <class>' for every sample was"
            " expected"
        )
    labels.ids.check_unique(f"label file '{path}'")
    return labels


def _columns(
    lines: Sequence[str], first: int, path: str | os.PathLike[str]
) -> tuple[Sequence[str], Sequence[str]]:
    """Ids and classes of whole lines; ``first``: the number of the first one."""
    found = _LINE.findall("".join(lines))
    if len(found) < len(lines):
        _check_lines(lines, first, path)
    if not found:
        return (), ()
    names, numbers = zip(*found, strict=True)
    if "" in names:
        nameless = (line for line in lines if (m := _LINE.match(line)) and not m[1])
        sample_id(next(nameless).split(None, 1)[0])
    return names, numbers


def _check_lines(lines: Sequence[str], first: int, path: str | os.PathLike[str]) -> None:
    """Refuse the first line that is neither a label nor blank."""
    for number, line in enumerate(lines, start=first):
        if line.strip() and not _LINE.fullmatch(line.removesuffix("\n")):
            raise InputError(
                f"label file '{path}', line {number}: '<file name> <class>' with a class counted"
                f" from 0, of 9 digits at most, was expected, got {line.strip()[:80]!r}"
            )
