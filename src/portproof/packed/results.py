"""Packed results: one file an output instead of one a sample and output.

A packed result folder holds ``ids.txt`` (the sample id of each row, one a line, UTF-8) and, for
each output counted from 1, ``output<k>.npy`` (NumPy's own format, version 1.0, C order,
little-endian, shape (N, *shape of one sample)), and nothing else. Names that begin
with a dot and end in ``.partial`` are files in the making.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import existing_folder, open_regular
from portproof.core.text import listed
from portproof.packed.ids import IdBuilder, SampleIds
from portproof.packed.npy import Rows, open_npy

#: The file of ids.
RESULT_IDS = "ids.txt"

_OUTPUT = re.compile(r"output([1-9][0-9]{0,8})\.npy")
_AGAIN = "run the inference again"
_CHUNK = 1 << 20
#: Bytes that no sample id has: it ends at the first dot of a file's name.
_NOT_IN_IDS = re.compile(rb"[\x00\r./]")


def output_file(number: int) -> str:
    """The file name of an output, counted from 1.

    >>> output_file(1)
    'output1.npy'
    """
    return f"output{number}.npy"


def is_packed(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds packed results, whole or not."""
    path = Path(folder)
    names = (RESULT_IDS, output_file(1), f".{RESULT_IDS}.partial", f".{output_file(1)}.partial")
    return any((path / name).is_file() for name in names)


def open_results(folder: str | os.PathLike[str]) -> tuple[SampleIds, dict[int, Rows]]:
    """The ids of a packed result folder and the rows of each output, in the same order.

    :class:`InputError` when a file is missing, damaged or of another kind, when ids are there twice
    or are not as many as rows, and when the folder holds anything else.
    """
    path = existing_folder(folder, "result folder")
    numbers = _numbers(path)
    ids = read_ids(path / RESULT_IDS, "ids of packed results", _AGAIN)
    if not len(ids):
        raise InputError(f"'{path / RESULT_IDS}' is empty: a line a sample was expected; {_AGAIN}")
    outputs = {
        number: open_npy(path / output_file(number), "packed results", _AGAIN) for number in numbers
    }
    odd = [(rows.path.name, rows.count) for rows in outputs.values() if rows.count != len(ids)]
    if odd:
        raise InputError(
            f"'{path}': {RESULT_IDS} has {len(ids)} ids and {odd[0][0]} {odd[0][1]} rows; as many"
            f" were expected: {_AGAIN}"
        )
    ids.check_unique(f"packed results '{path}'")
    return ids, outputs


def _numbers(path: Path) -> list[int]:
    """The numbers of the outputs; :class:`InputError` for any other file."""
    names = sorted(os.listdir(path))
    unfinished = [n for n in names if n.startswith(".") and n.endswith(".partial")]
    if unfinished:
        raise InputError(
            f"'{path}' holds packed results that are not finished ({listed(unfinished)}): run the"
            " inference again, it continues"
        )
    matches = {name: _OUTPUT.fullmatch(name) for name in names if name != RESULT_IDS}
    strays = [name for name, match in matches.items() if match is None]
    if strays:
        raise InputError(
            f"'{path}' holds {len(strays)} files or folders that are not packed results"
            f" ({listed(strays)}): only {RESULT_IDS} and output<number>.npy were expected; move the"
            " rest out"
        )
    numbers = sorted(int(match[1]) for match in matches.values() if match)
    if RESULT_IDS not in names or not numbers:
        lacking = RESULT_IDS if numbers else output_file(1)
        raise InputError(f"'{path}' holds packed results without {lacking}; {_AGAIN}")
    if numbers != list(range(1, len(numbers) + 1)):
        lacking = output_file(next(k for k, n in enumerate(numbers, 1) if k != n))
        raise InputError(f"'{path}' holds packed results without {lacking}; {_AGAIN}")
    return numbers


def read_ids(path: str | os.PathLike[str], what: str, again: str) -> SampleIds:
    """The ids of a file with one a line, which may be there twice.

    :class:`InputError` when it is not UTF-8, when its last line does not end, or when a line is no
    sample id. ``again``: what to do then, in a few words.
    """
    builder = IdBuilder()
    line = 1
    for texts in _lines(path, what, again):
        if b"" in texts or _NOT_IN_IDS.search(b"\n".join(texts)):
            at, odd = next((i, t) for i, t in enumerate(texts) if not t or _NOT_IN_IDS.search(t))
            raise InputError(
                f"{what} '{path}', line {line + at}: a sample id was expected, without a dot, a"
                f" slash or a carriage return, got {odd[:80].decode('utf-8', 'replace')!r};"
                f" {again}"
            )
        line += len(texts)
        builder.add_bytes(texts)
    return builder.ids()


def _lines(path: str | os.PathLike[str], what: str, again: str) -> Iterator[list[bytes]]:
    """Whole lines without their ends, many at a time; a BOM is dropped."""
    with open_regular(path, what) as file:
        chunk = file.read(_CHUNK)
        rest = chunk.removeprefix(b"\xef\xbb\xbf")
        while chunk:
            *lines, rest = rest.split(b"\n")
            try:
                b"\n".join(lines).decode()
            except UnicodeDecodeError as error:
                raise InputError(f"{what} '{path}' is not UTF-8 text; {again}") from error
            yield lines
            chunk = file.read(_CHUNK)
            rest += chunk
    if rest:
        raise InputError(
            f"{what} '{path}' ends in the middle of a line, without a line end"
            f" ({rest[:80].decode('utf-8', 'replace')!r}), so it was cut off; {again}"
        )
