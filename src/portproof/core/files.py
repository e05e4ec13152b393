"""Files written whole or not at all, and read with errors that name them."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from portproof.core.drafts import draft_file
from portproof.core.errors import InputError
from portproof.core.text import printable

_CHUNK = 1 << 20
_TAIL_LINES = 20
_TAIL_BYTES = 1 << 16


@contextlib.contextmanager
def atomic_writer(path: str | os.PathLike[str], durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that appears under ``path`` only when the block ends without an error.

    The bytes go to a draft beside it (see :mod:`portproof.core.drafts`), which is flushed to disk
    (fsync) and renamed; a kill at any moment leaves the old file or the new one, never half of one,
    and a draft that the next writer takes over. Drafts' names begin with a dot and end in ``.tmp``,
    so no stage takes one for a result. ``durable=False`` leaves out the fsync, for thousands of
    small files whose stage ends with :func:`flush_to_disk`.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with draft_file(target) as (file, draft):
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())
        os.replace(draft, target)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file atomically (see :func:`atomic_writer`)."""
    with atomic_writer(path) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically, with the newlines of ``text`` as they are."""
    write_bytes(path, text.encode("utf-8"))


def existing_file(path: str | os.PathLike[str], what: str) -> Path:
    """The path of a readable file; :class:`InputError` names it and ``what`` was expected."""
    p = Path(path)
    if p.is_dir():
        raise InputError(f"{what}: '{p}' is a folder, a file was expected")
    if not p.is_file():
        kind = "is not a regular file (a pipe or a device)" if p.exists() else "does not exist"
        raise InputError(f"{what}: '{p}' {kind}; check the path")
    return p


def read_file(path: str | os.PathLike[str], what: str) -> bytes:
    """The bytes of a regular file; :class:`InputError` for anything else."""
    with open_regular(path, what) as file:
        return file.read()


def existing_folder(path: str | os.PathLike[str], what: str) -> Path:
    """The path of a folder; :class:`InputError` names it and ``what`` was expected."""
    p = Path(path)
    if not p.is_dir():
        raise InputError(
            f"{what}: '{p}' is {'a file' if p.exists() else 'not there'}, a folder was expected"
        )
    return p


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """A UTF-8 text file (a BOM is dropped); :class:`InputError` when it is missing or not UTF-8."""
    p = existing_file(path, what)
    try:
        return p.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{what}: '{p}' is not UTF-8 text (byte {error.start}); save it as UTF-8"
        ) from error


def open_regular(path: str | os.PathLike[str], what: str) -> IO[bytes]:
    """A regular file, opened for reading bytes; :class:`InputError` for anything else.

    A pipe waits for its writer and a device (``/dev/zero``) never ends, so a file is opened without
    waiting, and what was opened is looked at: nothing can take its place in between.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        )
    except (OSError, ValueError):
        existing_file(path, what)
        raise
    kind = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(kind):
        os.close(descriptor)
        if stat.S_ISDIR(kind):
            existing_file(path, what)
        raise InputError(
            f"{what}: '{os.fspath(path)}' is no regular file (a pipe or a device); only regular"
            " files are read: copy its contents into one"
        )
    return os.fdopen(descriptor, "rb")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    return digest_of(path, "sha256")


def digest_of(path: str | os.PathLike[str], algorithm: str) -> str:
    """A file's digest by ``md5`` or ``sha256``, in hexadecimal, read in chunks of 1 MiB."""
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def flush_to_disk() -> None:
    """Wait until everything written so far is on the disk: called once, before the sidecar that
    vouches for many small files.
    """
    os.sync()


def tail_of(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, carriage returns as line ends, made safe to print."""
    if not log.is_file():
        return ""
    with open(log, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    rows = [row for row in text.replace("\r", "\n").split("\n") if row.strip()]
    rows = _without_tracebacks(rows)
    return "\n".join(printable(row)[:400] for row in rows[-lines:])


def _without_tracebacks(rows: Sequence[str]) -> list[str]:
    """The lines without those of Python's tracebacks; the error that one ends in stays.

    >>> _without_tracebacks(["[ERROR] bad", "Traceback (most recent call last):", "  File", "E: x"])
    ['[ERROR] bad', 'E: x']
    """
    kept, inside = [], False
    for row in rows:
        inside = row.startswith("Traceback (most recent call last)") or (
            inside and row.startswith(" ")
        )
        if not inside:
            kept.append(row)
    return kept
