"""One lock a host: a bench holds it alone, other steps hold it together, so that nothing of any
fleet of this user runs beside a bench.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_EVERY_S = 0.2


@contextlib.contextmanager
def host_locked(
    exclusive: bool, waiting: Callable[[], None], given_up: Callable[[], bool] = lambda: False
) -> Iterator[int]:
    """Hold this host's lock; yields its descriptor, to be handed to the process that works.

    ``waiting`` is called once if somebody else holds it; ``given_up`` says that nobody waits for it
    any more, which raises KeyboardInterrupt.
    """
    path = Path(tempfile.gettempdir(), f"portproof-fleet-{os.getuid()}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        said = False
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not said:
                    waiting()
                    said = True
            if given_up():
                raise KeyboardInterrupt
            time.sleep(_EVERY_S)
        yield descriptor
    finally:
        os.close(descriptor)
