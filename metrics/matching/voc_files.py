"""Detections as VOC's development kit takes them: a folder of ``<anything>_<class>.txt`` files of
``<image id> <score> <xmin> <ymin> <xmax> <ymax>`` lines, pixels counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.core.text import listed

_LINE = "'<image id> <score> <xmin> <ymin> <xmax> <ymax>'"


def files_by_class(folder: Path, classes: Mapping[int, str]) -> dict[int, Path]:
    """Category id -> its file; empty when the folder holds none of these files.
    :class:`InputError` when it holds such files and others.
    """
    found: dict[int, Path] = {}
    others = []
    for path in sorted(folder.iterdir()):
        ids = [i for i, name in classes.items() if path.name.endswith(f"_{name}.txt")]
        if ids:
            found[max(ids, key=lambda i: len(classes[i]))] = path
        else:
            others.append(path.name)
    if found and others:
        raise InputError(
            f"'{folder}' holds files of VOC results and {len(others)} others ({listed(others)});"
            " move these out"
        )
    return found


def rows_of(path: Path) -> list[tuple[str, float, list[float]]]:
    """Image id, score, and box as x, y, width and height counted from 0, of every line."""
    rows = []
    for number, line in enumerate(read_text(path, "VOC results").splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        try:
            numbers = [float(word) for word in words[1:]]
        except ValueError:
            numbers = []
        if len(numbers) != 5 or not all(map(math.isfinite, numbers)):
            raise InputError(f"VOC results '{path}', line {number}: {_LINE} was expected")
        score, left, top, right, bottom = numbers
        if left > right or top > bottom:
            raise InputError(f"VOC results '{path}', line {number}: a box of negative size")
        rows.append((words[0], score, [left - 1, top - 1, right - left, bottom - top]))
    return rows
