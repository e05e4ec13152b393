"""Many files read and hashed in one call of compiled code, where a compiler is."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array
from portproof.core import progress
from portproof.preprocess.pixels.native.build import CoreUnavailable, library

_SOURCES = ("files.c",)

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


class _Hashing(ctypes.Structure):
    """``struct hashing`` of files.c."""

    _fields_ = (("digest", ctypes.c_void_p), ("type", ctypes.c_void_p))


class FileReader:
    """The loaded library; :class:`CoreUnavailable` when it cannot be used."""

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise CoreUnavailable(f"it cannot be loaded: {error}") from error
        self._library.portproof_found_size.restype = ctypes.c_size_t
        self._read = self._library.portproof_read_files
        self._read.restype = None
        self._read.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        self._hashing = _openssl()
        if self._library.portproof_found_size() != FOUND.itemsize or not self._is_right():
            raise CoreUnavailable("it does not find what Python finds")

    def read(self, paths: Sequence[str], rows: Array) -> Array:
        """Read each file into a row of an array in C order: what was found, a :data:`FOUND` each.

        The first file that has another size is the last that is read; OSError for one that cannot
        be read.
        """
        found = np.empty(len(paths), FOUND)
        text = os.fsencode("\0".join(paths) + "\0")
        self._read(
            text,
            len(paths),
            rows.ctypes.data,
            rows.nbytes // len(paths),
            ctypes.byref(self._hashing),
            found.ctypes.data,
        )
        if found["error"].any():
            at = int(np.flatnonzero(found["error"])[0])
            error = int(found["error"][at])
            raise OSError(error, os.strerror(error), paths[at])
        return found

    def _is_right(self) -> bool:
        """Whether it reads and hashes its own source as Python does."""
        path = Path(__file__).with_name(_SOURCES[0])
        data, status = path.read_bytes(), path.stat()
        row = np.empty((1, len(data)), np.uint8)
        try:
            found = self.read([str(path)], row)[0]
        except OSError:
            return False
        return (
            row.tobytes() == data
            and found["sha256"].tobytes() == hashlib.sha256(data).digest()
            and tuple(found)[1:]
            == (status.st_size, status.st_mtime_ns, status.st_ino, status.st_size, 0)
        )


def _openssl() -> _Hashing:
    """SHA-256 of the OpenSSL that Python itself uses."""
    try:
        import _hashlib

        openssl: Any = ctypes.CDLL(_hashlib.__file__)
        # OpenSSL 3 looks an algorithm of the older kind up again at every use.
        new = getattr(openssl, "EVP_MD_fetch", None)
        kind = new or openssl.EVP_sha256
        kind.restype = ctypes.c_void_p
        digest = ctypes.cast(openssl.EVP_Digest, ctypes.c_void_p)
        return _Hashing(digest, kind(None, b"SHA256", None) if new else kind())
    except (ImportError, OSError, AttributeError) as error:
        raise CoreUnavailable(f"Python's OpenSSL cannot be called: {error}") from error


@functools.cache
def file_reader() -> FileReader | None:
    """The reader of this process; None, and said once, where Python must read file by file."""
    try:
        return FileReader(library("files", Path(__file__).parent, _SOURCES, ()))
    except CoreUnavailable as reason:
        progress.say(f"infer: samples are read by Python, more slowly ({reason})")
        return None
