"""The lock of a run directory, which keeps two runs apart."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portproof.core import progress
from portproof.core.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[int]:
    """Hold the run directory's lock; yields its file descriptor, to be handed to child processes.

    The lock is the operating system's (``flock``), so it ends with the last process that holds the
    descriptor, however that ends: children that outlive a killed parent still guard the folder. The
    file's text (host, pid, start) is only for the sentence that the second run gets.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / LOCK
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        holder = _read_holder(descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            orphan = (
                ", which has ended, but a step that it started is still at work"
                if holder and not _is_alive(holder)
                else ""
            )
            raise InputError(
                f"'{run_dir}' is in use: {_describe(holder)}{orphan}; wait for it, or give another"
                " --run-dir"
            ) from None
        if holder:
            progress.say(
                f"port: the lock in '{run_dir}' is stale ({_describe(holder)}, it has ended);"
                " continuing"
            )
        _write_holder(descriptor)
        yield descriptor
        os.ftruncate(descriptor, 0)
    except BaseException:
        # Only the holder clears the text; a refused run leaves the first run's words in place.
        if _read_holder(descriptor).get("pid") == os.getpid():
            os.ftruncate(descriptor, 0)
        raise
    finally:
        os.close(descriptor)


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
