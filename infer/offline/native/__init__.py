"""Many files read and hashed in one call of compiled code, where a compiler is; else by Python."""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core import progress
from portproof.infer.offline.file_reader import FOUND, Array, FileReader
from portproof.preprocess.pixels.native.build import CoreUnavailable, library

_SOURCES, _HEADERS = ("files.c", "sha256.c"), ("sha256.h",)


class _Hashing(ctypes.Structure):
    """``struct hashing`` of files.c."""

    _fields_ = (
        ("digest", ctypes.c_void_p),
        ("type", ctypes.c_void_p),
        ("has_lanes", ctypes.c_int),
    )


class CompiledReader(FileReader):
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
            ctypes.c_int,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.c_void_p,
        )
        self._hashing = _openssl()
        self._hashing.has_lanes = self._library.sha256_has_lanes()
        if self._library.portproof_found_size() != FOUND.itemsize or not self._is_right():
            raise CoreUnavailable("it does not find what Python finds")

    def read(
        self,
        paths: Sequence[str],
        rows: Array,
        folder: int | None = None,
        is_hashed: bool = True,
    ) -> Array:
        """In one call."""
        found = np.empty(len(paths), FOUND)
        text = os.fsencode("\0".join(paths) + "\0")
        self._read(
            -1 if folder is None else folder,
            text,
            len(paths),
            rows.ctypes.data,
            rows.nbytes // len(paths),
            ctypes.byref(self._hashing) if is_hashed else None,
            found.ctypes.data,
        )
        if found["error"].any():
            at = int(np.flatnonzero(found["error"])[0])
            error = int(found["error"][at])
            raise OSError(error, os.strerror(error), paths[at])
        return found

    def _is_right(self) -> bool:
        """Whether it reads and hashes its own source as Python does, once and several times."""
        source = [str(Path(__file__).with_name(_SOURCES[0]))] * 5
        rows = np.zeros((2, len(source), os.stat(source[0]).st_size), np.uint8)
        try:
            found = self.read(source, rows[0])
        except OSError:
            return False
        expected = FileReader().read(source, rows[1])
        return found.tobytes() == expected.tobytes() and np.array_equal(rows[0], rows[1])


def _openssl() -> _Hashing:
    """SHA-256 of the OpenSSL that Python itself uses, for rows that are hashed by themselves."""
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
def file_reader() -> FileReader:
    """The reader of this process; it is said once where Python must read file by file."""
    try:
        return CompiledReader(library("files", Path(__file__).parent, _SOURCES, _HEADERS))
    except CoreUnavailable as reason:
        progress.say(f"files are read by Python, more slowly ({reason})")
        return FileReader()
