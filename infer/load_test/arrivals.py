"""When requests are due, and the queue from which clients in several processes take them.

The queue is a named pipe that holds the requests' numbers: a client that is free reads the next
one, so that the requests are taken in order by whoever is free first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from portproof.backend import Feeds, Session
from portproof.core.errors import InputError
from portproof.infer.timing.processes.clock import no_collector

#: Bytes of a number in the pipe, which are read whole; the number that ends a client; what a pipe
#: holds at most without a privilege (Linux, pipe(7)).
_BYTES, _END, _MOST_BYTES = 4, 0xFFFFFFFF, 1 << 20
#: The last part of a wait is spent awake, since a sleeping thread is woken late by about as much.
_AWAKE_S = 0.0002


def poisson_arrivals(count: int, rate: float, seed: int) -> list[float]:
    """``count`` moments, in seconds after the start, of a Poisson process of ``rate`` per second:
    the gaps are exponential and independent.
    """
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return [round(float(moment), 9) for moment in np.cumsum(gaps)]


@dataclass(frozen=True, slots=True)
class Served:
    """What one client did: the number of each request that it took, with its seconds as defined in
    :class:`portproof.infer.load_test.record.LoadRun`; when its last answer was there (this host's
    monotonic clock, the same in every process); the seconds in which it did not wait for a request
    to be due, and its processor seconds.
    """

    numbers: list[int]
    latencies_s: list[float]
    ended: float
    busy_s: float
    cpu_s: float


@contextlib.contextmanager
def queue_of(count: int, clients: int) -> Iterator[Path]:
    """The named pipe that holds the numbers 0 to ``count`` - 1, and an end for each client."""
    numbers = np.append(np.arange(count, dtype="<u4"), np.full(clients, _END, "<u4")).tobytes()
    with tempfile.TemporaryDirectory(prefix="portproof-") as folder:
        pipe = Path(folder, "requests")
        os.mkfifo(pipe)
        # Open at both ends: nobody waits for the other side, and what was written is kept.
        end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        try:
            if hasattr(fcntl, "F_SETPIPE_SZ"):
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, min(len(numbers), _MOST_BYTES))
            written = os.write(end, numbers)
            if written < len(numbers):
                raise InputError(
                    f"--requests is {count}, at most {written // _BYTES - clients} fit here"
                )
            yield pipe
        finally:
            os.close(end)


def serve(
    session: Session, feeds: Sequence[Feeds], pipe: str, due: Sequence[float] | None, began: float
) -> Served:
    """Take requests until there are no more. ``due``: their moments after ``began``
    (``time.perf_counter``); None: each is due when it is taken.
    """
    numbers, latencies, idle_s = list[int](), list[float](), 0.0
    with open(pipe, "rb", buffering=0) as queue, no_collector():
        _wait_until(began)
        used, ended = time.process_time(), began
        while (number := int.from_bytes(queue.read(_BYTES), "little")) != _END:
            if due is None:
                asked = time.perf_counter()
            else:
                asked = began + due[number]
                idle_s += _wait_until(asked)
            session.run(feeds[number % len(feeds)])
            ended = time.perf_counter()
            numbers.append(number)
            latencies.append(round(ended - asked, 9))
    busy_s = ended - began - idle_s
    return Served(numbers, latencies, ended, busy_s, time.process_time() - used)


def _wait_until(moment: float) -> float:
    """Sleep, and stay awake for the end of it; the seconds that it took."""
    first = time.perf_counter()
    while (left := moment - time.perf_counter()) > 0:
        if left > _AWAKE_S:
            time.sleep(left - _AWAKE_S)
    return max(0.0, moment - first)
