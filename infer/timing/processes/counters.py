"""Counters of the host while a block is timed: whose processor time it was, and how much memory the
process took.

The host's own times come from psutil; without it they are null, and so is what is derived from
them.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Share of the host's processors that others may use while a subject is timed, before its clock is
#: called unstable.
OTHERS_LIMIT = 0.10
#: The host's times tick every 10 ms: what others used is counted over this long at least.
_COUNTED_S = 0.1


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds while a block ran: of all processes of the host (None without psutil), of
    this one, and the wall clock's.
    """

    host_s: float | None
    own_s: float
    wall_s: float


class UsageMeter:
    """Counts from its making: this process, or with ``children`` the programs that it ran."""

    def __init__(self, children: bool = False) -> None:
        self._own_s = _children_s if children else time.process_time
        self._host, self._own, self._wall = _host_busy_s(), self._own_s(), time.perf_counter()

    def usage(self) -> Usage:
        """What was used since."""
        host = _host_busy_s()
        used = None if host is None or self._host is None else host - self._host
        return Usage(used, self._own_s() - self._own, time.perf_counter() - self._wall)


def peak_memory_bytes() -> int:
    """The most memory resident in this process (getrusage: KiB on Linux, bytes on macOS)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_bytes() -> int | None:
    """The memory that this process has resident now; None without psutil."""
    psutil = _psutil()
    return None if psutil is None else int(psutil.Process().memory_info().rss)


def summary(blocks: Sequence[Sequence[Usage]]) -> dict[str, Any]:
    """Counters of a measurement from its blocks (of each, the usage that every client saw).

    ``cpu_fraction``: of the host's processors, used by the subject; ``other_cpu_fraction``: by
    everybody else, of which blocks that are shorter than some ticks are counted together (None
    where all of them are too short to tell). Medians over the blocks.
    """
    processors = os.cpu_count() or 1
    own, others = [], []
    host_s = own_s = wall_s = 0.0
    for block in blocks:
        seconds, mine = max(u.wall_s for u in block), sum(u.own_s for u in block)
        own.append(mine / (processors * seconds))
        hosts = [u.host_s for u in block if u.host_s is not None]
        if not hosts:
            continue
        host_s, own_s, wall_s = host_s + statistics.fmean(hosts), own_s + mine, wall_s + seconds
        if wall_s >= _COUNTED_S:
            others.append(max(0.0, (host_s - own_s) / (processors * wall_s)))
            host_s = own_s = wall_s = 0.0
    return {
        "cpu_fraction": statistics.median(own) if own else None,
        "other_cpu_fraction": statistics.median(others) if others else None,
        "processors": processors,
    }


def host_doubts(found: dict[str, Any]) -> list[str]:
    """Why the host's counters, as :func:`summary` gives them, cast doubt on times: others used its
    processors at the same time.
    """
    others = found["other_cpu_fraction"]
    if others is None or others <= OTHERS_LIMIT:
        return []
    return [
        f"other processes used {100 * others:.0f} % of the host's processors (limit"
        f" {100 * OTHERS_LIMIT:.0f} %)"
    ]


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _host_busy_s() -> float | None:
    """Processor seconds of all processes since the host started, without idle and waiting; what a
    hypervisor stole counts as used.
    """
    psutil = _psutil()
    if psutil is None:
        return None
    times = psutil.cpu_times()
    # Linux counts guests in user and nice already.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - guests)


def _psutil() -> Any:
    """The package, or None where it is not installed."""
    try:
        import psutil  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return None
    return psutil
