"""Rehearsal: the Ascend path on a host that has no NPU and no CANN, with simulated vendor programs.

The simulators follow what the real programs do, their ugly parts included, as far as that was seen
or is documented. What real CANN prints itself is replaced by lines that begin with ``[REHEARSAL]``.
Environment variables control them:

``PORTPROOF_REHEARSAL``
    ``1``: this process is part of a rehearsal; every sidecar that it writes is marked as simulated.
``PORTPROOF_REHEARSAL_SOC``, ``PORTPROOF_REHEARSAL_DEVICES``
    the chip (default ``Ascend310P3``) and how many there are (default 4 for the 310, else 1).
``PORTPROOF_REHEARSAL_FAULT``
    one fault, see :data:`FAULTS`; ``slow-chip:2`` gives the fault to device 2 only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

MARK = "REHEARSAL"
ACTIVE, SOC, DEVICES, FAULT = (
    f"PORTPROOF_REHEARSAL{end}" for end in ("", "_SOC", "_DEVICES", "_FAULT")
)

#: What can be made to fail, and how it shows.
FAULTS = {
    "size-mismatch": "the model asks for more bytes than the samples have",
    "busy-device": "npu-smi shows a program at work on the chip",
    "truncated-log": "a tool ends well, but its perf file, summary or log is cut off in the middle",
    "crash-in-batch-7": "the process dies of a signal in its seventh execution (any number)",
    "slow-chip": "every execution takes five times as long",
}


def is_active(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is part of a rehearsal."""
    return environment.get(ACTIVE) == "1"


def soc_version() -> str:
    """The simulated chip."""
    return os.environ.get(SOC) or "Ascend310P3"


def device_count() -> int:
    """How many chips there are."""
    return int(os.environ.get(DEVICES) or (4 if soc_version() == "Ascend310" else 1))


def has_fault(name: str, device: int | None = None) -> bool:
    """Whether the fault is asked for (on that device)."""
    wanted, _, only = os.environ.get(FAULT, "").partition(":")
    return wanted == name and (not only or device is None or int(only) == device)


def crash_at() -> int | None:
    """The execution in which the process is to die, counted from 1; None without that fault."""
    head, _, number = os.environ.get(FAULT, "").rpartition("-")
    return int(number) if head == "crash-in-batch" and number.isdigit() else None
