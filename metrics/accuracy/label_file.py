"""The label file: one line a sample, ``<file name> <class>``, the class counted from zero."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import existing_file, open_regular, read_text
from portproof.manifest import sample_id
from portproof.metrics.accuracy.plain_lines import plain_columns
from portproof.packed.ids import IdBuilder, SampleIds

#: A line, and in it the sample id (see :func:`portproof.manifest.sample_id`) and the class.
_LINE = re.compile(
    r"^[ \t]*+(?=\S)(?:[^\s/]*+/)*+([^\s./]*+)\S*+[ \t]++([0-9]{1,9})[ \t]*+$", re.MULTILINE
)
#: Bytes that are read at once.
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
    for chunk in _chunks(path):
        if columns := plain_columns(chunk):
            content, lengths, numbers = columns
            ids.add_content(content, lengths)
            line += len(lengths)
        else:
            lines = _lines(chunk, path)
            names, numbers = _columns(lines, line, path)
            ids.add(names)
            line += len(lines)
        classes.append(numbers.astype(np.int32))
    labels = Labels(Path(path), ids.ids(), np.concatenate(classes))
    if not len(labels.ids):
        raise InputError(
            f"label file '{path}' is empty: one line '<file name> <class>' for every sample was"
            " expected"
        )
    labels.ids.check_unique(f"label file '{path}'")
    return labels


def _chunks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """Whole lines, many at a time; a BOM is dropped."""
    with open_regular(existing_file(path, "label file"), "label file") as file:
        chunk = file.read(_CHUNK).removeprefix(b"\xef\xbb\xbf")
        while chunk:
            yield chunk + file.readline()
            chunk = file.read(_CHUNK)


def _lines(chunk: bytes, path: str | os.PathLike[str]) -> list[str]:
    """The lines as text, each with a newline at its end, whatever ended it."""
    try:
        return io.StringIO(chunk.decode("utf-8"), newline=None).readlines()
    except UnicodeDecodeError:
        read_text(path, "label file")  # says which byte of the file it is
        raise


def _columns(
    lines: Sequence[str], first: int, path: str | os.PathLike[str]
) -> tuple[Sequence[str], NDArray[np.int64]]:
    """Ids and classes of whole lines; ``first``: the number of the first one."""
    found = _LINE.findall("".join(lines))
    if len(found) < len(lines):
        _check_lines(lines, first, path)
    names = [name for name, _ in found]
    if "" in names:
        nameless = (line for line in lines if (m := _LINE.match(line)) and not m[1])
        sample_id(next(nameless).split(None, 1)[0])
    return names, np.array([int(number) for _, number in found], np.int64)


def _check_lines(lines: Sequence[str], first: int, path: str | os.PathLike[str]) -> None:
    """Refuse the first line that is neither a label nor blank."""
    for number, line in enumerate(lines, start=first):
        if line.strip() and not _LINE.fullmatch(line.removesuffix("\n")):
            raise InputError(
                f"label file '{path}', line {number}: '<file name> <class>' with a class counted"
                f" from 0, of 9 digits at most, was expected, got {line.strip()[:80]!r}"
            )
