"""Chips on a card. Vendor tools time one chip, and a document may state its rate or the card's."""

from __future__ import annotations

from functools import cache

from portproof.reports.claims.read.context import NPUS
from portproof.target import match_target


@cache
def chips_of(device: str | None) -> int:
    """The chips on a card of the device, from its target; 1 for a device that is not known.

    >>> chips_of("310"), chips_of("310P"), chips_of(None)
    (4, 1, 1)
    """
    target = match_target(device) if device else None
    return target.chips_per_card if target else 1


@cache
def device_of(chips: float) -> str | None:
    """The NPU that has so many chips on a card, when it has several: what "x4" says in prose.

    >>> device_of(4), device_of(1)
    ('310', None)
    """
    return next((npu for npu in NPUS if 1 < chips_of(npu) == chips), None)


@cache
def most_chips() -> int:
    """The factor between a chip's rate and a card's, where the device is not known."""
    return max(map(chips_of, NPUS))
