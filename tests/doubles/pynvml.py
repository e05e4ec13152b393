"""A double of ``nvidia-ml-py``: one GPU whose counters tests set; what is not set is not supported,
as on a vGPU.
"""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


#: Function name -> what it answers, or a list of what it answers one after the other (the last for
#: ever).
answers: dict[str, Any] = {}
asked: list[tuple[Any, ...]] = []


def busy_t4(**changes: Any) -> dict[str, Any]:
    """A T4 at work, without anything suspicious."""
    usual = {
        "nvmlDeviceGetName": "Tesla T4",
        "nvmlDeviceGetUUID": "GPU-1",
        "nvmlSystemGetDriverVersion": "595.10",
        "nvmlDeviceGetEnforcedPowerLimit": 70000,
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=90, memory=40),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=16 << 30, free=15 << 30, used=1 << 30),
        "nvmlDeviceGetPowerUsage": 65000,
        "nvmlDeviceGetTotalEnergyConsumption": [1000 * n for n in range(1000)],
        "nvmlDeviceGetClockInfo": 1590,
        "nvmlDeviceGetTemperature": 55,
        "nvmlDeviceGetPerformanceState": 0,
        "nvmlDeviceGetCurrentClocksEventReasons": 0x4,
        "nvmlDeviceGetComputeRunningProcesses": [],
    }
    return usual | changes


def nvmlInit() -> None:
    if not os.environ.get("NVML_DOUBLE") and not answers:
        raise NVMLError("Driver Not Loaded")


def nvmlDeviceGetHandleByIndex(index: int) -> str:
    if index:
        raise NVMLError("Invalid Argument")
    asked.append(("index", index))
    return "handle"


def nvmlDeviceGetHandleByUUID(uuid: str) -> str:
    asked.append(("uuid", uuid))
    return "handle"


def __getattr__(name: str) -> Any:
    if not name.startswith("nvml"):
        raise AttributeError(name)

    def answer(*arguments: Any) -> Any:
        found = answers.get(name)
        if found is None:
            raise NVMLError_NotSupported(name)
        if isinstance(found, list) and name == "nvmlDeviceGetTotalEnergyConsumption":
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    return answer
