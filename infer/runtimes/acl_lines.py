"""The lines that aclruntime and the tools on top of it print. The reason of a failure is on stdout
only, among lines of progress, which must not reach a command's own output.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator

#: A bar of progress may stand before it on its line.
_ERROR = re.compile(r"\[ERROR\]\s*(.*\S)")
#: A model can have a hundred gears, and the library lists them all.
_MOST_CHARACTERS = 400


@contextlib.contextmanager
def kept_from_stdout() -> Iterator[list[str]]:
    """Keep what this process prints inside, native code too, off stdout; lines in the list."""
    lines: list[str] = []
    with tempfile.TemporaryFile() as file:
        _flush()
        stdout = os.dup(1)
        os.dup2(file.fileno(), 1)
        try:
            yield lines
        finally:
            _flush()
            os.dup2(stdout, 1)
            os.close(stdout)
            file.seek(0)
            lines += file.read().decode("utf-8", "replace").splitlines()


def reason_in(lines: Iterable[str]) -> str:
    """The reason that the library, or a tool that uses it, printed; empty if there is none.

    >>> reason_in(["[INFO] open device 0", "[ERROR] acl open device 7 failed", "ret=107001"])
    'acl open device 7 failed'
    """
    errors = "; ".join(dict.fromkeys(match[1] for line in lines if (match := _ERROR.search(line))))
    return errors if len(errors) <= _MOST_CHARACTERS else errors[:_MOST_CHARACTERS] + " ..."


def _flush() -> None:
    """Python's and C's buffers of stdout; C++'s is C's."""
    sys.stdout.flush()
    ctypes.CDLL(None).fflush(None)
