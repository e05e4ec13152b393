"""The files of an Ascend dump by their names, and which folders of a dump are runs.

``{path}/{time}/{device}/{model}/{model id}/{run}/{type}.{name}.{task}.{stream}.{timestamp}``, with
four more numbers behind in newer versions; ``msaccucmp.py convert`` puts ``.output.0.npy`` behind
it, with the layout before the suffix for ``-t msnpy``, the new shape for ``-f``, and shape, type
and layout for ``-t bin``. A name that is too long for a file stands in ``mapping.csv``. Sources:
https://www.hiascend.com/document/detail/en/mindstudio/600/msug/msug_000167.html, and
``reg_manager.py``, ``dump_data_parser.py`` and ``mapping.py`` in
https://github.com/Ascend/msprobe/tree/master/python/msprobe/msaccucmp.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text

_FILE = re.compile(
    r"(?P<type>[A-Za-z0-9_-]+)\.(?P<name>[A-Za-z0-9_-]+)\.\d+(\.\d+)?\.(?P<time>\d{10,20})"
    r"(\.(?P<kind>\d)\.\d+\.\d+(\.\d+)?)?"
    r"(\.(?P<side>input|output)\.(?P<index>\d{1,4})(\.(?P<more>[A-Za-z0-9_.]*))?\.(?P<as>npy|bin))?"
)
#: The kind of a task that is cut over threads.
_SLICED = "4"
#: The number of a file whose name is in the mapping, or the hash of one.
_RENAMED = re.compile(r"(\d+|[0-9a-f]{32})(\.npy|\.bin)?")
_TIME_FOLDER = re.compile(r"\d{14}")
#: What an operator of this type holds is no result of the model's.
_NO_OPERATOR = {"Opdebug"}


@dataclass
class Operator:
    """The files of one operator in one run: ``whole``, as the device wrote it, or ``parts`` by side
    and number, each with what its name says of its form.
    """

    type: str
    name: str
    time: int
    whole: Path | None = None
    parts: dict[tuple[str, int], tuple[Path, str]] = field(default_factory=dict)


def find(path: Path) -> list[dict[str, Operator]]:
    """The runs below a folder in their order, each the operators by name as they ended; none if it
    holds no Ascend dump.
    """
    runs = {}
    for folder, _, names in os.walk(path):
        operators = _operators(Path(folder), sorted(names))
        if operators:
            runs[Path(folder)] = operators
    kinds = {_kind(folder.relative_to(path)) for folder in runs}
    if len(kinds) > 1:
        one, other, *_ = sorted(kinds)
        raise InputError(
            f"'{path}' holds Ascend dumps of several models or devices ('{one}' and '{other}'):"
            " give the folder of one"
        )
    return [runs[folder] for folder in sorted(runs, key=lambda f: _numbers(f.relative_to(path)))]


def _kind(folder: Path) -> str:
    """A folder without the time and without the number of the run."""
    parts = [part for part in folder.parts if not _TIME_FOLDER.fullmatch(part)]
    return "/".join(parts[:-1] if parts and parts[-1].isdecimal() else parts)


def _numbers(folder: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in folder.parts]


def _operators(folder: Path, names: Sequence[str]) -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for file, name in _named(folder, names):
        known = _FILE.fullmatch(name)
        if known is None or known["type"] in _NO_OPERATOR:
            continue
        if known["kind"] == _SLICED:
            raise InputError(
                f"'{file}' is a slice of an operator (task type {_SLICED}, FFTS+): slices are not"
                " put together here; compare them with msaccucmp.py"
            )
        new = Operator(known["type"], known["name"], int(known["time"]))
        operator = found.setdefault(new.name, new)
        key = (known["side"], int(known["index"] or 0))
        twice = operator.whole if known["side"] is None else operator.parts.get(key)
        if twice or (operator.type, operator.time) != (new.type, new.time):
            raise InputError(
                f"'{folder}' holds the operator '{new.name}' twice ('{name}' is one of them): put"
                " the files of each inference into a folder of its own, and convert with -t npy"
            )
        if known["side"] is None:
            operator.whole = file
        else:
            operator.parts[key] = (file, f"{known['more'] or ''}.{known['as']}")
    return dict(sorted(found.items(), key=lambda item: item[1].time))


def _named(folder: Path, names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """The files of a folder with the names that they should bear."""
    mapping = folder / "mapping.csv"
    real: dict[str, str] = {}
    if "mapping.csv" in names and any(_RENAMED.fullmatch(name) for name in names):
        try:
            rows = list(csv.reader(read_text(mapping, "mapping of names").splitlines()))
        except csv.Error as error:
            raise InputError(
                f"'{mapping}' cannot be read ({error}): lines of a file's name and the name that it"
                " should bear were expected"
            ) from error
        real = {row[0]: row[1] for row in rows if len(row) == 2}
    for name in names:
        yield folder / name, real.get(name, name)
