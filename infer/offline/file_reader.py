"""What is found in many files, and Python's way to read them, file by file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: ``struct found`` of files.c.
FOUND = np.dtype(
    [
        ("sha256", np.uint8, (32,)),
        ("size", np.int64),
        ("mtime_ns", np.int64),
        ("inode", np.uint64),
        ("got", np.int64),
        ("error", np.int64),
    ]
)
#: A named pipe must not make us wait.
READ_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class FileReader:
    """Reads files where there is no compiled reader."""

    def read(
        self,
        paths: Sequence[str],
        rows: Array,
        folder: int | None = None,
        is_hashed: bool = True,
    ) -> Array:
        """Read each file into a row of an array in C order: what was found, a :data:`FOUND` each,
        with its hash if it ``is_hashed``. Paths begin in the open ``folder``, where one is given.

        The first file that has another size is the last that is read; OSError for one that cannot
        be read.
        """
        found = np.zeros(len(paths), FOUND)
        beyond = bytearray(1)  # what is read into it shows a file that is too long
        numbers, digests = list[tuple[int, ...]](), list[bytes]()
        for path, row in zip(paths, rows_of(rows), strict=True):
            try:
                status, got = _read_into(row, beyond, path, folder)
            except OSError as error:
                error.filename = path
                raise
            numbers.append((status.st_size, status.st_mtime_ns, status.st_ino, got))
            if got != len(row):
                break
            if is_hashed:
                digests.append(hashlib.sha256(row).digest())
        columns = zip(*numbers, strict=True)
        for name, column in zip(("size", "mtime_ns", "inode", "got"), columns, strict=True):
            found[name][: len(numbers)] = column
        sha256 = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
        found["sha256"][: len(digests)] = sha256
        return found


def rows_of(array: Array) -> list[memoryview[int]]:
    """The bytes of each sample of a batch (C order), in place."""
    view = array.reshape(-1).view(np.uint8).data
    size = len(view) // len(array)
    return [view[row * size : (row + 1) * size] for row in range(len(array))]


def _read_into(
    row: memoryview[int], beyond: bytearray, path: str, folder: int | None
) -> tuple[os.stat_result, int]:
    """One file into one row: what the system says of it, and how many bytes were read."""
    descriptor = os.open(path, READ_FLAGS, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        got = os.readv(descriptor, [row, beyond])
        while got < len(row) and (count := os.readv(descriptor, [row[got:], beyond])):
            got += count
    finally:
        os.close(descriptor)
    return status, got
