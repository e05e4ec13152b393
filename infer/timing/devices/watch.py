"""Sample a device's counters while blocks run, from the process that waits for them, and turn them
into counters of a measurement and doubts.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from portproof.core import progress
from portproof.core.text import listed
from portproof.infer.timing.devices import CounterReading, CounterSource, kinds, source_for

#: Spread of the clock, (highest - lowest) / highest, above which times are not of one speed.
CLOCK_SPREAD = 0.05
#: Seconds of watching below which the energy counter, which steps every 20 to 100 ms, says too
#: little.
_LEAST_ENERGY_S = 2.0


class Devices:
    """The devices of this host as they were before anything was loaded: those named, and the first
    of each kind that has counters.
    """

    def __init__(self, named: Iterable[str | None]) -> None:
        self._found: dict[str, _Device] = {}
        self._unseen: set[str] = set()
        for device in {name for name in named if name} | {f"{kind}:0" for kind in kinds()}:
            source = source_for(device)
            if source is not None:
                self._found[device] = _Device(source, source.facts(device), source.read(device))

    def sources(self) -> dict[str, CounterSource]:
        """The counters that may be read while calls are timed, by device."""
        return {
            name: device.source
            for name, device in self._found.items()
            if device.source.interval_s is not None
        }

    def watch(self, device: str) -> Watch:
        """A watch over one device; it sees nothing where the device has no counters. One warning
        names a device whose counters cannot be read here.
        """
        if (
            device not in self._found
            and device.partition(":")[0] in kinds()
            and device not in self._unseen
        ):
            self._unseen.add(device)
            progress.warn(
                f"{device} is not watched while it is timed: its counters cannot be read here;"
                " 'portproof doctor' says what is missing"
            )
        return Watch(device, self._found.get(device))


@dataclass(frozen=True, slots=True)
class _Device:
    source: CounterSource
    facts: dict[str, Any]
    before: CounterReading


class Watch:
    """One device under watch. ``blocks``: the readings of each block, the first and the last of
    them outside it; ``moments``: when those of the last block were taken, Unix time.
    """

    def __init__(self, name: str, found: _Device | None) -> None:
        self.device = name
        self.blocks: list[list[CounterReading]] = []
        self.moments: list[float] = []
        self._source = found.source if found else None
        self.facts = found.facts if found else {}
        self.before = found.before if found else CounterReading()
        self.throttles = found.source.throttles if found else frozenset()

    @contextmanager
    def block(self) -> Iterator[None]:
        """Read before, every interval during, and after what runs inside."""
        source = self._source
        if source is None:
            yield
            return
        readings: list[CounterReading] = []
        self.moments = []
        over = threading.Event()
        if source.interval_s is None:
            yield
        else:
            self._read(readings)
            sampler = threading.Thread(
                target=self._sample, args=(source.interval_s, over, readings), daemon=True
            )
            sampler.start()
            try:
                yield
            finally:
                over.set()
                sampler.join()
        self._read(readings)
        self.blocks.append(readings)

    def narrow(self, began: float, ended: float) -> float:
        """Keep of the last block what was read between two moments; the seconds that it spans. For
        programs that do more than what they time.
        """
        if not self.blocks:
            return 0.0
        kept = [i for i, moment in enumerate(self.moments) if began <= moment <= ended]
        self.blocks[-1] = [self.blocks[-1][i] for i in kept]
        return self.moments[kept[-1]] - self.moments[kept[0]] if kept else 0.0

    def _sample(
        self, interval_s: float, over: threading.Event, readings: list[CounterReading]
    ) -> None:
        while not over.wait(interval_s):
            self._read(readings)

    def _read(self, readings: list[CounterReading]) -> None:
        assert self._source is not None
        self.moments.append(time.time())
        readings.append(self._source.read(self.device))


def device_counters(
    watch: Watch, calls_s: float, images: float, own: Collection[int]
) -> dict[str, Any]:
    """The counters of a measurement: ``calls_s`` seconds in all blocks, in which ``images`` were
    inferred; ``own`` as in :func:`device_doubts`. Null is what was not measured.
    """
    if not watch.facts:
        return {}
    seen = [r for block in watch.blocks for r in block]
    memory, temperatures = _known(seen, "memory_used_bytes"), _known(seen, "temperature_c")
    clocks, states, limits = (
        _known(_inside(watch), name) for name in ("clock_hz", "performance_state", "limits")
    )
    return {
        "device": watch.facts,
        "device_utilisation": _mean(_known(_inside(watch), "utilisation")),
        "device_memory_before_bytes": watch.before.memory_used_bytes,
        "device_memory_peak_bytes": max(memory, default=None),
        "power_w": _mean(_known(_inside(watch) or seen, "power_w")),
        "energy_per_image_j": _energy(watch, calls_s, images),
        "clock_lowest_hz": min(clocks, default=None),
        "clock_highest_hz": max(clocks, default=None),
        "memory_clock_hz": _mean(_known(_inside(watch), "memory_clock_hz")),
        "temperature_before_c": watch.before.temperature_c,
        "temperature_highest_c": max(temperatures, default=None),
        "performance_state_slowest": max(states, default=None),
        "limits": sorted(set().union(*limits)) if limits else None,
        "other_processes": (
            _others(watch, set(own)) if any(r.processes is not None for r in seen) else None
        ),
    }


def device_doubts(watch: Watch, own: Collection[int]) -> list[str]:
    """Why the device's times cannot be trusted: it was throttled, not in its fastest state, of
    changing clock, or shared. ``own``: process ids of all workers of the bench.
    """
    doubts = []
    limits: list[frozenset[str]] = _known([r for block in watch.blocks for r in block], "limits")
    held = sorted(watch.throttles & frozenset().union(*limits))
    if held:
        doubts.append(f"{watch.device} was throttled while it was timed ({listed(held)})")
    states = [int(s) for s in _known(_inside(watch), "performance_state") if s]
    if states:
        doubts.append(
            f"{watch.device} was in performance state P{max(states)} while it was timed, P0 was"
            " expected"
        )
    clocks = _known(_inside(watch), "clock_hz")
    if clocks and (max(clocks) - min(clocks)) / max(clocks) > CLOCK_SPREAD:
        doubts.append(
            f"the clock of {watch.device} went from {min(clocks) / 1e6:.0f} to"
            f" {max(clocks) / 1e6:.0f} MHz while it was timed (limit {CLOCK_SPREAD:.0%})"
        )
    others = _others(watch, set(own))
    if others:
        doubts.append(f"other programs used {watch.device} while it was timed ({listed(others)})")
    return doubts


def _others(watch: Watch, own: set[int]) -> list[str]:
    """Programs on the device that are not of this bench. In a container the ids are the host's, and
    none of the workers' is among them: then only programs that were there before the workers, or
    more programs than workers, are others.
    """
    seen = [set(r.processes) for block in watch.blocks for r in block if r.processes is not None]
    everybody = set().union(*seen) if seen else set()
    if everybody & own:
        return [f"process {pid}" for pid in sorted(everybody - own)]
    earlier = everybody & set(watch.before.processes or ())
    more = max((len(at_once - earlier) for at_once in seen), default=0) - len(own)
    return [f"process {pid}" for pid in sorted(earlier)] + (
        [f"{more} more than this bench has"] if more > 0 else []
    )


def _energy(watch: Watch, calls_s: float, images: float) -> float | None:
    """Joule an image, over all blocks; None without the counter or for short blocks."""
    ends = [(block[0].energy_j, block[-1].energy_j) for block in watch.blocks if block]
    used = [last - first for first, last in ends if first is not None and last is not None]
    if len(used) < len(watch.blocks) or calls_s < _LEAST_ENERGY_S or not images:
        return None
    return sum(used) / images


def _inside(watch: Watch) -> list[CounterReading]:
    """The readings taken while calls were timed."""
    return [r for block in watch.blocks for r in block[1:-1]]


def _known(readings: Sequence[CounterReading], name: str) -> list[Any]:
    return [value for r in readings if (value := getattr(r, name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
