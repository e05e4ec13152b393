"""Temporary files and folders beside the target that they become; the next writer of the target
removes what a killed one left.

A draft's name, ``.<target>.<host>.<number>.tmp``, is not random, so the next writer finds it and
takes it over, or removes it. A lock (``flock``) shows whether a process still holds a draft: the
operating system releases it when the process ends, also by SIGKILL. Drafts of other hosts are
left alone, since not every shared file system carries locks from host to host.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_LONGEST_NAME = 80


#: A descriptor, and whether this process made what it opens.
_Opened = tuple[int, bool]


@contextlib.contextmanager
def draft_file(target: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """An empty binary file beside ``target``, open for writing, and its path, to be renamed in the
    block; deleted if the block ends with an error.
    """
    descriptor, path = _claim(target, _open_file)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.truncate(0)
            yield file, path
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """An empty folder beside ``target``, removed at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, folder = _claim(target, _open_folder)
    try:
        for entry in folder.iterdir():
            _remove(entry)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _claim(target: Path, opened: Callable[[Path], _Opened | None]) -> tuple[int, Path]:
    """The first draft of ``target`` that no living process holds, opened and locked. What killed
    processes left under later numbers is removed.
    """
    drafts = (
        target.with_name(f".{target.name[:_LONGEST_NAME]}.{_HOST}.{number}.tmp")
        for number in itertools.count()
    )
    descriptor, path = next(
        (descriptor, path) for path in drafts if (descriptor := _locked(path, opened)) is not None
    )
    for later in itertools.takewhile(os.path.lexists, drafts):
        if (unused := _locked(later, opened)) is not None:
            _remove(later)
            os.close(unused)
    return descriptor, path


def _locked(path: Path, opened: Callable[[Path], _Opened | None]) -> int | None:
    """The draft's descriptor, locked; None if another process holds it, or it is not a draft."""
    draft = opened(path)
    if draft is None:
        return None
    descriptor, is_new = draft
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its holder may have renamed or removed it between the two calls.
        held = os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except (BlockingIOError, FileNotFoundError):
        held = False
    except OSError:  # a file system without locks: what this process made is its own
        held = is_new
    if held:
        return descriptor
    os.close(descriptor)
    return None


def _open_file(path: Path) -> _Opened | None:
    with contextlib.suppress(FileExistsError):
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), True
    with contextlib.suppress(OSError):  # gone by now, a folder, a link, or another user's
        return os.open(path, os.O_WRONLY | os.O_NOFOLLOW), False
    return None


def _open_folder(path: Path) -> _Opened | None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
    with contextlib.suppress(FileExistsError):
        path.mkdir()
        return os.open(path, flags), True
    with contextlib.suppress(OSError):
        return os.open(path, flags), False
    return None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
