"""The counters of devices: one file a kind, ``on_<kind>.py``, as in ``cuda:0``, ``npu:0``."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class CounterReading:
    """A device's counters at one moment; None is what it does not give. They are the whole
    device's, other programs on it included.

    ``utilisation``: fraction of the last moments in which a kernel ran. ``energy_j``: since the
    driver was loaded. ``performance_state``: 0 is the fastest. ``limits``: what holds its clock
    down. ``processes``: ids of the programs that use it.
    """

    utilisation: float | None = None
    memory_used_bytes: int | None = None
    power_w: float | None = None
    energy_j: float | None = None
    clock_hz: float | None = None
    memory_clock_hz: float | None = None
    temperature_c: float | None = None
    performance_state: int | None = None
    limits: frozenset[str] | None = None
    processes: frozenset[int] | None = None


class CounterSource(Protocol):
    """Where the counters of one kind of device come from."""

    #: Seconds between readings while a subject is timed; None: asking is so much work that it is
    #: done after a block only.
    interval_s: float | None
    #: Limits that make times worthless; the others are normal under load.
    throttles: frozenset[str]

    def facts(self, device: str) -> dict[str, Any]:
        """What the device is and how it is set, by name."""

    def read(self, device: str) -> CounterReading:
        """The device now."""


def kinds() -> list[str]:
    """The kinds of device that have counters."""
    return sorted(
        m.name.removeprefix("on_")
        for m in pkgutil.iter_modules(__path__)
        if m.name.startswith("on_")
    )


def source_for(device: str) -> CounterSource | None:
    """The counters of a device; None for a kind that has none (the processor's are in
    :mod:`portproof.infer.timing.processes.counters`), and for a host that lacks what reads them.
    """
    kind = device.partition(":")[0]
    if kind not in kinds():
        return None
    source: CounterSource | None = importlib.import_module(f"{__name__}.on_{kind}").open_source(
        device
    )
    return source
