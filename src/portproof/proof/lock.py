"""Locks that keep two runs apart: of a run directory, and of what one stage makes."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portproof.core import progress
from portproof.core.errors import InputError

LOCK = ".lock"
#: How long a step may take to end that is killed with the process that started it.
_DYING_S = 2.0
#: Where nobody can write, or the file system has no locks.
_NO_LOCKS = (errno.EROFS, errno.EACCES, errno.ENOLCK, errno.ENOTSUP)


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[int]:
    """Hold the run directory's lock; yields its file descriptor, to be handed to child processes.

    The lock is the operating system's (``flock``), so it ends with the last process that holds the
    descriptor, however that ends: children that outlive a killed parent still guard the folder. The
    file's text (host, pid, start) is only for the sentence that the second run gets.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        holder = _take(descriptor, run_dir, "--run-dir")
        if holder:
            progress.say(
                f"port: the lock in '{run_dir}' is stale ({_describe(holder)}, it has ended);"
                " continuing"
            )
        yield descriptor
    finally:
        # Only the holder clears the text; a refused run leaves the first run's words in place.
        if _read_holder(descriptor).get("pid") == os.getpid():
            os.ftruncate(descriptor, 0)
        os.close(descriptor)


@contextlib.contextmanager
def locked_artefact(artefact: Path, option: str) -> Iterator[None]:
    """Hold the lock of a folder that a stage makes, ``.<name>.lock`` beside it, which is removed at
    the end; :class:`InputError` names who holds it. ``option``: what names another folder.
    """
    path = artefact.absolute().with_name(f".{artefact.absolute().name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = _taken_file(path, artefact, option)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _taken_file(path: Path, artefact: Path, option: str) -> int:
    """The descriptor of a lock file that is locked, and that nobody removed meanwhile."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _take(descriptor, artefact, option)
            if os.path.lexists(path) and os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _take(descriptor: int, folder: Path, option: str) -> dict[str, Any]:
    """Lock a file and write our name into it; what an earlier holder left there."""
    holder = _read_holder(descriptor)
    if not _is_locked(descriptor, holder):
        orphan = (
            ", which has ended, but a step that it started is still at work"
            if holder and not _is_alive(holder)
            else ""
        )
        raise InputError(
            f"'{folder}' is in use: {_describe(holder)}{orphan}; wait for it, or give another"
            f" {option}"
        )
    _write_holder(descriptor)
    return holder


def _is_locked(descriptor: int, holder: dict[str, Any]) -> bool:
    """Lock a file, if nobody else has it. The steps of a holder that was killed are killed with it,
    but not in the same instant: they are waited for.
    """
    patience_s = _DYING_S if holder and not _is_alive(holder) else 0.0
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        time.sleep(0.02)


def _write_holder(descriptor: int) -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    os.ftruncate(descriptor, 0)
    os.pwrite(
        descriptor,
        json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": now}).encode(),
        0,
    )


def _read_holder(descriptor: int) -> dict[str, Any]:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_alive(holder: dict[str, Any]) -> bool:
    """Whether the holder's process is there; one on another host is believed to be."""
    if holder.get("host") != socket.gethostname() or not isinstance(holder.get("pid"), int):
        return True
    try:
        os.kill(holder["pid"], 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _describe(holder: dict[str, Any]) -> str:
    if not holder:
        return "by a process that has not said who it is"
    return (
        f"by process {holder.get('pid')} on {holder.get('host')}, started {holder.get('started')}"
    )
