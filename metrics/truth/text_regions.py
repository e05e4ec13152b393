"""Where text is in an image: polygons, and whether it can be read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.core.jsonfile import json_in
from portproof.manifest import sample_id
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import Loaded, refuse_doubles, sample_files

#: What a transcription says of text that nobody can read, which is then not judged.
UNREADABLE = ("###", "*")
_PREFIX = re.compile(r"^(gt|res)_")


@dataclass(frozen=True, eq=False)
class Regions:
    """``polygons``: each (points, 2), x and y in pixels; ``ignored``: those that are not judged."""

    polygons: tuple[NDArray[np.float64], ...]
    ignored: tuple[bool, ...]


def read_regions(path: Path) -> Truth:
    """A folder of ICDAR files ``gt_<image>.txt`` (lines ``x1,y1,x2,y2,...,text``, or ``left,top,
    right,bottom,text``), or PaddleOCR's lines ``<image><tab>[{"transcription": ..., "points": [[x,
    y], ...]}, ...]``. Text ``###`` (or ``*``) is not judged. A sample's truth is :class:`Regions`.
    """
    found = regions_in(path, "text regions")
    files = list(found.paths.values()) if isinstance(found, Loaded) else [path]
    return Truth(samples=found, files=files)


def regions_in(path: Path, kind: str, has_text: bool = True) -> Mapping[str, Regions]:
    """Sample id -> regions. ``has_text``: a line of an ICDAR file ends in the text; without it all
    numbers of a line are points, but for a last one that is a score.
    """
    if path.is_dir():
        files = sample_files(path, (".txt",), kind)
        ids = [sample_id(_PREFIX.sub("", file.name)) for file in files.values()]
        refuse_doubles(ids, f"{kind} '{path}'")
        return Loaded(
            dict(zip(ids, files.values(), strict=True)),
            lambda file: _icdar(file, kind, has_text),
        )
    return _paddle(path, kind)


def _icdar(path: Path, kind: str, has_text: bool) -> Regions:
    polygons, ignored = [], []
    for number, line in enumerate(read_text(path, kind).split("\n"), start=1):
        if not line.strip():
            continue
        fields = line.strip().split(",")
        numbers, text = _numbers(fields, has_text)
        if numbers is None:
            raise InputError(
                f"{kind} '{path}', line {number}: 'x1,y1,x2,y2,x3,y3,x4,y4' or 'left,top,right,"
                "bottom'" + (", and the text," if has_text else "") + " was expected"
            )
        polygons.append(_polygon(numbers))
        ignored.append(text in UNREADABLE)
    return Regions(tuple(polygons), tuple(ignored))


def _numbers(fields: list[str], has_text: bool) -> tuple[list[float] | None, str]:
    """The coordinates of a line, and its text: 4 numbers, 8, or all there are in pairs."""
    numbers: list[float] = []
    for field in fields:
        try:
            number = float(field) if "_" not in field else np.nan
        except ValueError:
            break
        if not np.isfinite(number):
            break
        numbers.append(number)
    if not has_text:
        whole = len(numbers) == len(fields)
        # an odd number of numbers ends in a score
        count = len(numbers) - len(numbers) % 2
        return (numbers[:count] if whole and (count == 4 or count >= 6) else None), ""
    # a text may be a number too: one field at least is left for it
    most = min(len(numbers), len(fields) - 1)
    count = most - most % 2 if most >= 8 else 4 if most >= 4 else 0
    return (numbers[:count] or None), ",".join(fields[count:]).strip().strip('"')


def _polygon(numbers: list[float]) -> NDArray[np.float64]:
    if len(numbers) == 4:
        left, top, right, bottom = numbers
        numbers = [left, top, right, top, right, bottom, left, bottom]
    return np.array(numbers, np.float64).reshape(-1, 2)


def _paddle(path: Path, kind: str) -> dict[str, Regions]:
    what = f"{kind} '{path}'"
    rows = [
        (number, *line.partition("\t")[::2])
        for number, line in enumerate(read_text(path, kind).split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise InputError(f"{what} are empty: '<image><tab><JSON list of regions>' was expected")
    refuse_doubles([sample_id(name.strip()) for _, name, _ in rows], what)
    return {
        sample_id(name.strip()): _entries(text, f"{what}, line {number}")
        for number, name, text in rows
    }


def _entries(text: str, where: str) -> Regions:
    try:
        entries: Any = json_in(text.encode())
        polygons = [np.array(entry["points"], np.float64) for entry in entries]
        ignored = [entry.get("transcription") in UNREADABLE for entry in entries]
    except (ValueError, TypeError, KeyError, AttributeError):
        polygons, ignored = [np.zeros(0)], [False]
    if any(
        p.ndim != 2 or p.shape[1] != 2 or len(p) < 3 or not np.isfinite(p).all() for p in polygons
    ):
        raise InputError(
            f'{where}: \'<image><tab>[{{"transcription": ..., "points": [[x, y], ...]}}, ...]\''
            " was expected"
        )
    return Regions(tuple(polygons), tuple(ignored))
