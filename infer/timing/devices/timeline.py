"""Memory, processor and device use over the time that a bench takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from portproof.core import progress
from portproof.infer.timing.devices import CounterSource
from portproof.measurement import Moment

#: Seconds between moments, until there are so many; then every other is dropped and the step is
#: doubled.
_STEP_S, _MOST = 0.5, 600
_SHOWN = ("utilisation", "memory_used_bytes", "power_w", "clock_hz", "temperature_c")


@contextmanager
def timeline_of(sources: dict[str, CounterSource]) -> Iterator[list[Moment]]:
    """The moments while the block runs, taken by a thread that sleeps in between; none without
    psutil, and none where the host has no file left to read them from, which is said. ``sources``:
    the counters of the devices, by name.
    """
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        yield []
        return
    moments: list[Moment] = []
    over = threading.Event()
    work = (psutil, sources, over, moments)
    sampler = threading.Thread(target=_sample_or_say, args=work, daemon=True)
    sampler.start()
    try:
        yield moments
    finally:
        over.set()
        sampler.join()


def _sample_or_say(
    psutil: Any, sources: dict[str, CounterSource], over: threading.Event, moments: list[Moment]
) -> None:
    try:
        _sample(psutil, sources, over, moments)
    except OSError as error:
        moments.clear()  # a part would be taken for the whole
        progress.warn(f"memory and processor use over time are not measured: {error.strerror}")


def _sample(
    psutil: Any, sources: dict[str, CounterSource], over: threading.Event, moments: list[Moment]
) -> None:
    began, step_s = time.perf_counter(), _STEP_S
    psutil.cpu_percent()  # which counts from its last call
    while not over.wait(step_s):
        moments.append(
            Moment(
                at_s=round(time.perf_counter() - began, 3),
                cpu_fraction=round(psutil.cpu_percent() / 100, 4),
                memory_bytes=_memory_of_children(psutil),
                devices={name: _counters(source, name) for name, source in sources.items()},
            )
        )
        if len(moments) >= _MOST:
            del moments[::2]
            step_s *= 2


def _memory_of_children(psutil: Any) -> int | None:
    """Resident in all worker processes now; None if one ended while it was asked."""
    try:
        children = psutil.Process().children(recursive=True)
        return int(sum(child.memory_info().rss for child in children))
    except psutil.Error:
        return None


def _counters(source: CounterSource, name: str) -> dict[str, float | None]:
    reading = asdict(source.read(name))
    return {key: reading[key] for key in _SHOWN}
