"""Rows of an ``.npy`` file (numpy.lib.format, version 1.0): its header, and its rows by plain
reads.

Rows are read, not memory-mapped: a file that somebody cuts short while it is mapped ends the
process with SIGBUS, without a word.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import open_regular

#: The size of our headers: NumPy pads to a multiple of 64, and this leaves room for any shape.
HEADER = 128


def npy_header(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """The header of a C-ordered ``.npy`` file, version 1.0, in exactly 128 bytes
    (numpy.lib.format).

    >>> len(npy_header((50000, 3, 224, 224), np.dtype("float32")))
    128
    """
    text = repr(
        {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    )
    length = HEADER - 10
    return (
        b"\x93NUMPY\x01\x00"
        + length.to_bytes(2, "little")
        + text.ljust(length - 1).encode("latin-1")
        + b"\n"
    )


@dataclass(frozen=True)
class Rows:
    """What the header of a whole ``.npy`` file says, and the file's size: ``count`` rows of
    ``shape`` and ``dtype``, little-endian, begin at byte ``start``. ``identity``: what the file's
    inode says of its bytes.
    """

    path: Path
    count: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    identity: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape) * self.dtype.itemsize

    def open(self) -> RowReader:
        """The file, to read rows from."""
        return RowReader(self)


class RowReader:
    """Reads rows of an open file. :class:`InputError` when it is another one than its header was
    read from, when it changes until the reader is closed, or becomes shorter: the ids of its rows
    are in another file, so rows of another run would be taken for these.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._file = open_regular(rows.path, "packed rows")
        try:
            self._check_identity()
        except InputError:
            self._file.close()
            raise

    def __enter__(self) -> RowReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._check_identity()

    def header(self) -> bytes:
        """The bytes before the first row."""
        head = bytearray(self.rows.start)
        self._fill(memoryview(head), 0)
        return bytes(head)

    def read(self, first: int, count: int) -> NDArray[Any]:
        """``count`` rows from ``first`` on, shape (count, *shape), in memory of their own."""
        rows = self.rows
        array = np.empty((count, *rows.shape), rows.dtype)
        if array.nbytes:
            self._fill(array.data.cast("B"), rows.start + first * rows.nbytes)
        return array

    def take(self, at: Sequence[int] | NDArray[np.int64]) -> NDArray[Any]:
        """The rows at these places, in this order; neighbours are read at once."""
        places = np.asarray(at, dtype=np.int64)
        if not len(places):
            return self.read(0, 0)
        cuts = np.flatnonzero(np.diff(places) != 1) + 1
        if not len(cuts):
            return self.read(int(places[0]), len(places))
        rows = self.rows
        array = np.empty((len(places), *rows.shape), rows.dtype)
        if array.nbytes:
            memory, size = array.data.cast("B"), rows.nbytes
            bounds = [0, *cuts.tolist(), len(places)]
            for here, after in pairwise(bounds):
                self._fill(
                    memory[here * size : after * size], rows.start + int(places[here]) * size
                )
        return array

    def _check_identity(self) -> None:
        if identity_of(os.fstat(self._file.fileno())) != self.rows.identity:
            raise InputError(
                f"'{self.rows.path}' changed while it was read; wait until whoever writes it has"
                " finished, then start again"
            )

    def _fill(self, place: memoryview, offset: int) -> None:
        while place:
            got = os.preadv(self._file.fileno(), [place], offset)
            if got == 0:
                raise InputError(
                    f"'{self.rows.path}' became shorter while it was read, {self.rows.count} whole"
                    " rows were expected; is something still writing it? Read it when that has"
                    " ended"
                )
            place, offset = place[got:], offset + got


def open_npy(path: str | os.PathLike[str], what: str, again: str) -> Rows:
    """The rows of a whole ``.npy`` file of numbers or truth values.

    :class:`InputError` for anything else: another format, objects, columns first, big-endian, too
    few or too many bytes. ``again``: what to do then, in a few words.
    """
    with open_regular(path, what) as file:
        status = os.fstat(file.fileno())
        try:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0(file) if version == (1, 0) else None
        # numpy reads the header as Python text: damage ends in SyntaxError, TokenError, and others
        except Exception as error:
            raise InputError(
                f"'{path}' is not a whole .npy file ({' '.join(str(error).split())}); {again}"
            ) from error
        start = file.tell()
    if header is None:
        found = ".".join(map(str, version))
        raise InputError(f"'{path}' is a .npy file of version {found}, 1.0 was expected; {again}")
    shape, is_columns_first, dtype = header
    wrong = _wrong(shape, is_columns_first, dtype)
    if wrong is None:
        expected = start + math.prod(shape) * dtype.itemsize
        if status.st_size == expected:
            return Rows(Path(path), shape[0], shape[1:], dtype, start, identity_of(status))
        wrong = f"has {status.st_size} bytes, {expected} were expected for {shape} of {dtype.name}"
    raise InputError(f"'{path}' {wrong}; {again}")


def identity_of(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file is written or replaced: size, time and inode."""
    return status.st_size, status.st_mtime_ns, status.st_ino


def _wrong(shape: tuple[int, ...], is_columns_first: bool, dtype: np.dtype[Any]) -> str | None:
    """What is wrong with a header, in words that follow the file's name."""
    if dtype.kind not in "fiub":
        return f"holds {dtype}, numbers were expected"
    if is_columns_first:
        return "is in Fortran order (columns first), C order was expected"
    if not shape or min(shape) < 0:
        return f"has the shape {shape}, (samples, ...) was expected"
    if dtype.newbyteorder("<") != dtype:
        return f"holds big-endian {dtype.name}, little-endian was expected"
    return None
