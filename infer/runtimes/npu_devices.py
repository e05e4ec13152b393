"""The names of NPU devices."""

from __future__ import annotations

from portproof.core.errors import InputError


def device_index(name: str | None) -> int:
    """The number of an NPU device, ``npu:N``; ``npu:0`` when none is named. :class:`InputError` for
    another kind of device.

    >>> device_index("npu:3"), device_index(None)
    (3, 0)
    """
    kind, _, index = (name or "npu:0").partition(":")
    if kind != "npu" or not (index or "0").isdigit():
        raise InputError(
            f"the device is '{name}', 'npu:0' (or another number) was expected: .om models run on"
            " an NPU"
        )
    return int(index or 0)
