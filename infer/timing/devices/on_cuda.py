"""NVIDIA GPUs, by NVML. An unsupported call (vGPU, MIG, a sandbox) gives None."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from portproof.core import progress
from portproof.infer.timing.devices import CounterReading

#: NVML's mask of reasons why the clock is held down (nvml.h, clocks event reasons).
_LIMITS = {
    0x1: "idle",
    0x2: "application clocks",
    0x4: "software power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "hardware power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}
_THROTTLES = 0x8 | 0x20 | 0x40 | 0x80
_SM, _MEMORY = 1, 2


class UnlikeDevicesError(Exception):
    """A device's number does not identify it."""


class Nvml:
    """A :class:`portproof.infer.timing.devices.Source`."""

    interval_s: float | None = 0.1
    throttles = frozenset(name for bit, name in _LIMITS.items() if bit & _THROTTLES)

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._handles: dict[str, Any] = {}

    def facts(self, device: str) -> dict[str, Any]:
        """Name, UUID, driver, power limit in W, and the modes that comparisons depend on."""
        ask, handle = self._ask, self._handle(device)
        limit = ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        return {
            "name": ask("nvmlDeviceGetName", handle),
            "uuid": ask("nvmlDeviceGetUUID", handle),
            "driver": ask("nvmlSystemGetDriverVersion"),
            "power_limit_w": None if limit is None else limit / 1e3,
            "mig_mode": (ask("nvmlDeviceGetMigMode", handle) or [None])[0],
            "ecc_mode": (ask("nvmlDeviceGetEccMode", handle) or [None])[0],
            "persistence_mode": ask("nvmlDeviceGetPersistenceMode", handle),
        }

    def read(self, device: str) -> CounterReading:
        """The device now."""
        ask, handle = self._ask, self._handle(device)
        load, memory = (
            ask("nvmlDeviceGetUtilizationRates", handle),
            ask("nvmlDeviceGetMemoryInfo", handle),
        )
        mask = ask(
            ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"),
            handle,
        )
        processes = ask("nvmlDeviceGetComputeRunningProcesses", handle)
        return CounterReading(
            utilisation=None if load is None else load.gpu / 100,
            memory_used_bytes=None if memory is None else int(memory.used),
            power_w=_scaled(ask("nvmlDeviceGetPowerUsage", handle), 1e-3),
            energy_j=_scaled(ask("nvmlDeviceGetTotalEnergyConsumption", handle), 1e-3),
            clock_hz=_scaled(ask("nvmlDeviceGetClockInfo", handle, _SM), 1e6),
            memory_clock_hz=_scaled(ask("nvmlDeviceGetClockInfo", handle, _MEMORY), 1e6),
            temperature_c=_scaled(ask("nvmlDeviceGetTemperature", handle, 0), 1),
            performance_state=ask("nvmlDeviceGetPerformanceState", handle),
            limits=(
                None
                if mask is None
                else frozenset(name for bit, name in _LIMITS.items() if mask & bit)
            ),
            processes=None if processes is None else frozenset(int(p.pid) for p in processes),
        )

    def _handle(self, device: str) -> Any:
        """CUDA counts the devices that ``CUDA_VISIBLE_DEVICES`` leaves, the fastest first unless
        ``CUDA_DEVICE_ORDER`` says otherwise; NVML counts all, by their slot. Of unlike devices a
        number is then no name, and the wrong one's counters would be worse than none.
        """
        if device not in self._handles:
            index = device.partition(":")[2] or "0"
            visible = [
                word.strip()
                for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
                if word.strip()
            ]
            chosen = visible[int(index)] if int(index) < len(visible) else index
            by_index = chosen.isdigit()
            if (
                by_index
                and os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID"
                and self._kinds() > 1
            ):
                raise UnlikeDevicesError
            get: Callable[[Any], Any] = (
                self._nvml.nvmlDeviceGetHandleByIndex
                if by_index
                else self._nvml.nvmlDeviceGetHandleByUUID
            )
            self._handles[device] = get(int(chosen) if by_index else chosen)
        return self._handles[device]

    def _kinds(self) -> int:
        """How many kinds of device this host has."""
        handles = [
            self._nvml.nvmlDeviceGetHandleByIndex(i)
            for i in range(self._ask("nvmlDeviceGetCount") or 0)
        ]
        return len({self._ask("nvmlDeviceGetName", handle) for handle in handles})

    def _ask(self, names: str | tuple[str, ...], *arguments: Any) -> Any:
        """The answer of the first function that the package has; None if unsupported."""
        for name in [names] if isinstance(names, str) else names:
            function = getattr(self._nvml, name, None)
            if function is not None:
                try:
                    return function(*arguments)
                except self._nvml.NVMLError:
                    return None
        return None


def open_source(device: str) -> Nvml | None:
    """NVML, where the package and a driver are."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        source = Nvml(pynvml)
        source.facts(device)
    except pynvml.NVMLError:
        return None
    except UnlikeDevicesError:
        progress.warn(
            f"the counters of {device} are not read: this host has unlike GPUs, and CUDA counts the"
            " fastest first; set CUDA_DEVICE_ORDER=PCI_BUS_ID"
        )
        return None
    return source


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
