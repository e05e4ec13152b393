"""Sample ids, and the info list that names the files of every sample.

Format of an info list (the ``benchmark`` tool's input; one line a model input, fields separated by
one space, LF):

* ``<index> <path> <width> <height>``: vision, width and height in pixels;
* ``<index> <path>``: anything else; a sample with several inputs has several consecutive lines with
  one index, in model input order;
* ``<index> <path> <extra>``: seen for audio; ``extra`` is kept as text.

Paths are relative to the working directory of whoever reads the list, as the vendor tools read
them.
"""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text, write_text
from portproof.core.text import listed

#: A whole number of an info list. Python's ``isdigit`` also knows superscripts.
_DIGITS = re.compile(r"[0-9]{1,18}")


def sample_id(name: str | os.PathLike[str]) -> str:
    """The sample id of a file: its base name up to the FIRST dot, as the vendor tools cut it.

    >>> sample_id("val/ILSVRC2012_val_00000001.JPEG")
    'ILSVRC2012_val_00000001'
    >>> sample_id("a.b.bin")
    'a'
    """
    text = os.fspath(name)
    base = text[text.rfind(os.sep) + 1 :]
    stem = base.split(".", 1)[0]
    if not stem:
        raise InputError(
            f"the file '{name}' has no sample id: its name begins with a dot; rename or remove it"
        )
    return stem


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: its id (of the first input's file), its files in model input order, and its size
    in pixels where the list has it.
    """

    id: str
    files: tuple[str, ...]
    width: int | None = None
    height: int | None = None


def check_unique(ids: Iterable[str], what: str) -> None:
    """Refuse two inputs with one id: results are joined by id, so one of them would be lost."""
    double = [i for i, count in Counter(ids).items() if count > 1]
    if double:
        raise InputError(
            f"{what}: {len(double)} sample ids belong to more than one file ({listed(double)});"
            " rename the files so that names differ before the first dot"
        )


def read_info(path: str | os.PathLike[str]) -> list[Sample]:
    """Read an info list; :class:`InputError` names the line that is wrong.

    Every sample has the same number of inputs. Indices need not start at 0 (lists are cut in
    parts), but the lines of one sample follow each other.
    """
    grouped: list[tuple[str, list[str], tuple[int | None, int | None]]] = []
    for number, line in enumerate(read_text(path, "info list").splitlines(), start=1):
        index, *rest = _fields(line, path, number)
        if not rest:
            continue
        if grouped and grouped[-1][0] == index:
            grouped[-1][1].append(rest[0])
        else:
            grouped.append((index, [rest[0]], _size(*rest[1:])))
    if not grouped:
        raise InputError(
            f"info list '{path}' is empty: at least one line '<index> <path> [<width> <height>]'"
            " was expected"
        )
    samples = [Sample(sample_id(files[0]), tuple(files), *size) for _, files, size in grouped]
    counts = Counter(len(s.files) for s in samples)
    if len(counts) > 1:
        usual = counts.most_common(1)[0][0]
        odd = [s.id for s in samples if len(s.files) != usual]
        raise InputError(
            f"info list '{path}': most samples have {usual} input files, but {len(odd)} have"
            f" another number ({listed(odd)})"
        )
    check_unique((s.id for s in samples), f"info list '{path}'")
    return samples


def _fields(line: str, path: str | os.PathLike[str], number: int) -> list[str]:
    """The fields of a line; of an empty one, one empty field."""
    fields = line.split()
    if 2 <= len(fields) <= 4 and _DIGITS.fullmatch(fields[0]):
        return fields
    if not fields:
        return [""]
    hint = " (a path with blanks cannot be written in this format)" if len(fields) > 4 else ""
    raise InputError(
        f"info list '{path}', line {number}: '<index> <path> [<width> <height>]' was expected{hint}"
    )


@functools.lru_cache(maxsize=1024)  # most lines of a list have one size
def _size(*texts: str) -> tuple[int | None, int | None]:
    if len(texts) == 2 and all(_DIGITS.fullmatch(text) for text in texts):
        return int(texts[0]), int(texts[1])
    return None, None


def write_info(path: str | os.PathLike[str], samples: Sequence[Sample]) -> None:
    """Write an info list, atomically: a line a sample and input, in order, indices from 0."""
    check_unique((s.id for s in samples), f"info list '{path}'")
    lines = []
    for index, sample in enumerate(samples):
        size = "" if sample.width is None else f" {sample.width} {sample.height}"
        for file in sample.files:
            if any(c.isspace() for c in file):
                raise InputError(
                    f"'{file}' has a blank in its path, which an info list cannot hold; rename it"
                    " or move the folder"
                )
            lines.append(f"{index} {file}{size}\n")
    write_text(path, "".join(lines))


def files_in(folder: str | os.PathLike[str], suffixes: Sequence[str]) -> list[Path]:
    """The files of a folder (not of its sub-folders) with one of the suffixes, in any letter case,
    sorted by name; hidden files are left out.
    """
    wanted = {s.lower() for s in suffixes}
    with os.scandir(folder) as entries:
        names = [
            e.name
            for e in entries
            if not e.name.startswith(".") and os.path.splitext(e.name)[1].lower() in wanted
        ]
    return [Path(folder, name) for name in sorted(names)]
