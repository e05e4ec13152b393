"""The clock: times calls of a session at every timing boundary that can be known. It knows no
vendor, only the backend protocol.
"""

from __future__ import annotations

import gc
from collections.abc import Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portproof.backend import Feeds, Session
    from portproof.measurement import Boundary

#: Seconds of each call, by timing boundary, in the order taken.
Times = dict["Boundary", list[float]]


def time_calls(session: Session, feeds: Sequence[Feeds], count: int) -> Times:
    """Time ``count`` calls one after the other, going round the feeds; all device work is over
    before the first and after the last.

    ``call`` is host call to host result, by ``perf_counter``; what else the backend reports itself
    is asked for after each call.
    """
    times: Times = {"call": [], **{b: [] for b in session.boundaries}}
    calls = times["call"]
    reported = [(times[b], b) for b in session.boundaries]
    with no_collector():
        session.sync()
        for index in range(count):
            batch = feeds[index % len(feeds)]
            start = perf_counter()
            session.run(batch)
            calls.append(perf_counter() - start)
            for series, boundary in reported:
                series.append(session.reported_s(boundary))
        session.sync()
    return times


@contextmanager
def no_collector() -> Iterator[None]:
    """Python's garbage collector kept out of the timed calls."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
