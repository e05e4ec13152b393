"""JSON files with one object a sample: a list, or one object a line."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.manifest import sample_id

_NAMES = ("id", "file", "file_name", "audio_filepath")


def json_lines(path: Path, kind: str) -> list[tuple[int, dict[str, Any]]]:
    """(number, object) of every entry of a JSON list or of JSON lines, counted from 1.

    :class:`InputError` for a file of another form, or without an entry.
    """
    what = f"{kind} '{path}'"
    data = read_file(path, kind)
    rows: list[tuple[int, Any]]
    try:
        if data.lstrip().startswith(b"["):
            whole = json_in(data)
            rows = list(enumerate(whole, start=1))
        else:
            numbered = enumerate(data.split(b"\n"), start=1)
            rows = [(number, json_in(line)) for number, line in numbered if line.strip()]
    except ValueError as error:
        raise InputError(
            f"{what}: {' '.join(str(error).split())}; a JSON list of objects, or one object a line,"
            " was expected"
        ) from error
    if not rows:
        raise InputError(f"{what} holds no entry; one JSON object for every sample was expected")
    for number, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{what}, entry {number}: a JSON object was expected")
    return rows


def named(entry: dict[str, Any], known: Container[str], what: str, number: int) -> str:
    """The sample id of an entry, by ``id`` or the name of its file; :class:`InputError` for none,
    or for one that is known already.
    """
    name = next((entry[key] for key in _NAMES if key in entry), None)
    if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
        raise InputError(f"{what}, entry {number}: 'id' with the sample's name is missing")
    sample = sample_id(str(name))
    if sample in known:
        raise InputError(f"{what}, entry {number}: the sample '{sample}' is there twice")
    return sample
