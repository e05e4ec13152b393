"""Ascend NPUs, by ``npu-smi info``: a program of its own, which would take processor time from what
is timed, so it is asked between blocks.
"""

from __future__ import annotations

from typing import Any

from portproof.core.errors import PortProofError
from portproof.host import npusmi
from portproof.infer.runtimes.npu_devices import device_index
from portproof.infer.timing.devices import CounterReading


class NpuSmi:
    """A :class:`portproof.infer.timing.devices.Source`. The load is not read, since the
    device has none between blocks.
    """

    interval_s: float | None = None
    throttles: frozenset[str] = frozenset()

    def facts(self, device: str) -> dict[str, Any]:
        """Name, health, and the driver's version."""
        chip = self._chip(device)
        return (
            {}
            if chip is None
            else {
                "name": chip.soc_version,
                "health": chip.health,
                "bus_id": chip.bus_id,
                "driver": chip.driver,
            }
        )

    def read(self, device: str) -> CounterReading:
        """The device now."""
        chip = self._chip(device)
        if chip is None:
            return CounterReading()
        return CounterReading(
            memory_used_bytes=None if chip.memory_used_mb is None else chip.memory_used_mb << 20,
            power_w=chip.power_w,
            temperature_c=chip.temperature_c,
            processes=frozenset(p.pid for p in chip.processes),
        )

    @staticmethod
    def _chip(device: str) -> npusmi.Chip | None:
        try:
            chips = npusmi.query()
        except PortProofError:
            return None
        return next((c for c in chips if c.device == device_index(device)), None)


def open_source(device: str) -> NpuSmi | None:
    """npu-smi, where it answers."""
    source = NpuSmi()
    return source if source.facts(device) else None
