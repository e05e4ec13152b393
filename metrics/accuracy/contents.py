"""The contents of result files: raw bytes, text, and numpy's own."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.infer.offline.file_reader import READ_FLAGS, FileReader
from portproof.metrics.accuracy.text_floats import parse_texts

#: So many results are read and scored sooner by compiled code, loading it included.
MANY = 1 << 13
_READ_SIZE = 1 << 16

Logits = NDArray[np.floating[Any]]


def content_of(path: str) -> bytes:
    """The bytes of a result; :class:`InputError` for a pipe or a device."""
    handle = os.open(path, READ_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError(f"result '{path}' is not a regular file; remove it")
        content = os.read(handle, _READ_SIZE)
        while len(content) % _READ_SIZE == 0 and (part := os.read(handle, _READ_SIZE)):
            content += part
        return content
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(handle)


def fill(folder: Path, names: Sequence[str], rows: Logits, reader: FileReader) -> bytes | None:
    """Read each file of a folder into its row: their identities
    (:func:`portproof.proof.freshness.identities`), or None if one has not the size of a row.
    """
    # Names are looked up in the open folder: a path is a look-up for each of its parts.
    opened = os.open(folder, os.O_RDONLY)
    try:
        found = reader.read(names, rows, opened, is_hashed=False)
    except OSError as error:
        error.filename = f"{folder}{os.sep}{error.filename}"
        raise
    finally:
        os.close(opened)
    if (found["got"] != rows[0].nbytes).any():
        return None
    columns = [found[name].astype("<i8") for name in ("size", "mtime_ns", "inode")]
    return np.column_stack(columns).tobytes()


def numbers_in(contents: Sequence[bytes], names: Sequence[str], form: str) -> list[Logits]:
    """The numbers of ``txt`` or ``npy`` results, each flat; :class:`InputError` names a damaged
    one.
    """
    if form == "txt":
        return list(parse_texts(contents, names))
    arrays = map(array_in, contents, names)
    return [
        a.reshape(-1).astype(np.float32 if a.dtype.str[1:] in ("f2", "f4") else np.float64)
        for a in arrays
    ]


def array_in(content: bytes, name: str) -> NDArray[Any]:
    """The array of an ``npy`` result, in its shape; :class:`InputError` if it is damaged or holds
    no real numbers.
    """
    try:
        array: NDArray[Any] = np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    # numpy reads the header as Python text: damage ends in SyntaxError, MemoryError, and others
    except Exception as error:
        raise InputError(
            f"result '{name}' is not a whole .npy file of numbers ({' '.join(str(error).split())})"
        ) from error
    if array.dtype.kind not in "fiu":
        raise InputError(f"result '{name}' holds {array.dtype}, real numbers were expected")
    return array
