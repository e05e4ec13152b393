"""Measurements: what was timed, kept raw in the blocks in which it was taken; every statistic is derived when it is asked for.

``perf.json`` holds one :class:`Performance`. Times are seconds, rates images (samples) per second.
"""

from __future__ import annotations

import os
from typing import Any, Literal

import msgspec

from portproof.errors import InputError
from portproof.files import existing_file, write_bytes

SCHEMA = "portproof.perf/1"

Boundary = Literal["device", "device+copies", "call", "end_to_end"]
BOUNDARIES: tuple[Boundary, ...] = ("device", "device+copies", "call", "end_to_end")


class Measurement(msgspec.Struct, kw_only=True):
    """Times of calls of one model at one batch size and timing boundary.

    ``blocks``: seconds per call, in the order taken, one list a block; subjects alternate block by block, so block *i* of two
    subjects of one run are neighbours in time. ``first_calls``: the first call of each block, recorded but not counted, since it
    pays for the switch between subjects. ``load_s`` and ``first_inference_s`` are the cold start. ``inputs``: ``random``, ``zeros`` or
    ``real``. ``chips``: how many chips ran the batch. ``streams``: inferences in flight at a time on the device.
    """

    label: str
    model: str
    backend: str
    batch: int
    boundary: Boundary
    precision: str
    clients: int
    inputs: Literal["random", "zeros", "real"]
    blocks: list[list[float]]
    first_calls: list[float] = msgspec.field(default_factory=list)
    warmup: list[float] = msgspec.field(default_factory=list)
    load_s: float | None = None
    first_inference_s: float | None = None
    chips: int = 1
    streams: int = 1
    device: str | None = None
    simulated: bool = False
    counters: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def samples(self) -> list[float]:
        """All counted calls, seconds each, in the order taken."""
        return [s for block in self.blocks for s in block]

    @property
    def images_per_second(self) -> float | None:
        """Rate over all counted calls: clients x batch x calls / total seconds; None without a call.

        With several clients the calls run side by side, so their seconds overlap.
        """
        total = sum(self.samples)
        return self.clients * self.batch * len(self.samples) / total if total > 0 else None


class Ratio(msgspec.Struct, kw_only=True):
    """``a``'s rate over ``b``'s at one batch and boundary, with a 95 % interval (None when there are too few blocks to give one)."""

    a: str
    b: str
    batch: int
    boundary: Boundary
    ratio: float
    ci95: tuple[float, float] | None


class Performance(msgspec.Struct, kw_only=True):
    """The content of ``perf.json``. ``reasons`` says why a run is ``unstable``."""

    schema: str = SCHEMA
    status: Literal["ok", "unstable"] = "ok"
    reasons: list[str] = msgspec.field(default_factory=list)
    measurements: list[Measurement]
    ratios: list[Ratio] = msgspec.field(default_factory=list)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    simulated: bool = False


def read_performance(path: str | os.PathLike[str]) -> Performance:
    """Read a ``perf.json``; :class:`InputError` when it is none, is damaged, or is of another schema version."""
    data = existing_file(path, "performance file").read_bytes()
    try:
        head = msgspec.json.decode(data, type=dict[str, Any])
        if head.get("schema") != SCHEMA:
            raise InputError(
                f"'{path}' has the schema {head.get('schema')!r}, this version reads {SCHEMA!r}; measure again with this version"
            )
        return msgspec.convert(head, Performance)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(f"'{path}' is not a performance file of PortProof: {error}") from error


def write_performance(path: str | os.PathLike[str], performance: Performance) -> None:
    """Write a ``perf.json``, atomically, one line a measurement so that a diff stays readable."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(performance), indent=1) + b"\n")
