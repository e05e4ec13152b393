"""Measurements: what was timed, kept raw in the blocks in which it was taken; every statistic is
derived when it is asked for.

``perf.json`` holds one :class:`Performance`. Times are seconds, rates images (samples) per second.
"""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import read_file, write_bytes
from portproof.core.jsonfile import json_in, one_record_a_line, record_from

SCHEMA = "portproof.perf/1"

Boundary = Literal["device", "device+copies", "call", "end_to_end"]
BOUNDARIES: tuple[Boundary, ...] = ("device", "device+copies", "call", "end_to_end")

#: What was timed: one chip; one chip of a board while its other chips rest; all chips of a board
#: together.
Scope = Literal["chip", "alone", "together"]
#: What is added to a label for the two scopes of a board.
ALONE, TOGETHER = " alone", " card"


class Answers(msgspec.Struct, kw_only=True):
    """Whether what was timed also answered right. ``ok`` None: it could not be checked. ``reason``:
    why not, or what is wrong. ``checked``: what the answers were compared with. ``calls`` and
    ``seconds``: what that took beside the timed calls.
    """

    ok: bool | None
    reason: str | None = None
    checked: list[str] = msgspec.field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0


#: How a backend says in ``provider`` that a float16 file is computed in float32, as on processors.
WIDENED = "float16 computed in float32"


class Measurement(msgspec.Struct, kw_only=True):
    """Times of calls of one model at one batch size and timing boundary.

    ``blocks``: seconds per call, in the order taken, one list a block; subjects alternate block by
    block, so block *i* of two subjects of one run are neighbours in time. ``first_calls``: the
    first call of each block, recorded but not counted, since it pays for the switch between
    subjects. ``load_s`` and ``first_inference_s`` are the cold start. ``inputs``: ``random``,
    ``zeros`` or ``real``. ``clients``: processes that call in a closed loop at the same time, each
    with a session of its own; a block holds the calls of all of them, and ``first_calls`` one call
    a client and block. ``scope``: what was timed (:data:`Scope`), and ``chips``: on how many chips.
    ``streams``: inferences in flight at a time on the device. ``threads`` None: the runtime's own
    choice. ``counters``: the host's and the device's, by name with the unit. ``answers``: whether
    it answered right, None in files of before that was asked; wrong answers have no rate and no
    latency, only raw blocks. ``starts``: how many of the blocks were taken in each start of the
    processes, in order; empty in files of before processes were started anew.
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
    starts: list[int] = msgspec.field(default_factory=list)
    first_calls: list[float] = msgspec.field(default_factory=list)
    warmup: list[float] = msgspec.field(default_factory=list)
    load_s: float | None = None
    first_inference_s: float | None = None
    scope: Scope = "chip"
    chips: int = 1
    streams: int = 1
    device: str | None = None
    provider: str | None = None
    threads: int | None = None
    options: dict[str, str] = msgspec.field(default_factory=dict)
    simulated: bool = False
    counters: dict[str, Any] = msgspec.field(default_factory=dict)
    answers: Answers | None = None

    @property
    def is_wrong(self) -> bool:
        """Whether its answers were found to be wrong."""
        return self.answers is not None and self.answers.ok is False

    @property
    def is_widened(self) -> bool:
        """Whether a float16 file was computed in float32, so that its rate shows no float16
        arithmetic.
        """
        return WIDENED in (self.provider or "")

    @property
    def samples(self) -> list[float]:
        """All counted calls, seconds each, in the order taken."""
        return [s for block in self.blocks for s in block]

    @property
    def valid(self) -> list[float]:
        """The counted calls of which statistics are formed: none when the answers are wrong."""
        return [] if self.is_wrong else self.samples

    @property
    def images_per_second(self) -> float | None:
        """Rate over all counted calls: clients x batch x calls / total seconds; None without a
        call, and for wrong answers.

        With several clients the calls run side by side, so their seconds overlap.
        """
        total = sum(self.valid)
        return self.clients * self.batch * len(self.valid) / total if total > 0 else None

    @property
    def median_s(self) -> float | None:
        """Median latency of the counted calls; None without a call, and for wrong answers."""
        return statistics.median(self.valid) if self.valid else None

    def percentile_s(self, percent: float) -> float | None:
        """Latency that ``percent`` of the counted calls do not exceed, by nearest rank; None with
        fewer calls than :func:`calls_needed`, and for wrong answers.
        """
        ordered = sorted(self.valid)
        return nearest_rank(ordered, percent) if len(ordered) >= calls_needed(percent) else None


#: A percentile is stated only if at least so many calls lie beyond it. Of ten that were seen, the
#: true number is 4.8 to 18.4 with 95 % confidence (exact interval of a Poisson count, Garwood,
#: Biometrika 28, 1936), so the share beyond the stated time is known within a factor of two.
CALLS_BEYOND = 10


def calls_needed(percent: float) -> int:
    """The least number of calls that can tell a percentile.

    >>> {p: calls_needed(p) for p in (5, 50, 90, 95, 99)}
    {5: 200, 50: 20, 90: 100, 95: 200, 99: 1000}
    """
    return math.ceil(round(100 * CALLS_BEYOND / min(percent, 100 - percent), 9))


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest of ascending values that ``percent`` of them do not exceed.

    >>> nearest_rank([1.0, 2.0, 3.0, 4.0], 50), nearest_rank([1.0, 2.0, 3.0, 4.0], 51)
    (2.0, 3.0)
    """
    return ordered[max(0, math.ceil(round(percent / 100 * len(ordered), 9)) - 1)]


class Ratio(msgspec.Struct, kw_only=True):
    """``a``'s rate over ``b``'s at one batch and boundary, with a 95 % interval (None when there
    are too few starts of the processes to give one).
    """

    a: str
    b: str
    batch: int
    boundary: Boundary
    ratio: float
    ci95: tuple[float, float] | None


class Moment(msgspec.Struct, kw_only=True):
    """Counters ``at_s`` seconds after a bench's start: the fraction of the host's processors busy
    since the moment before, the memory of all its worker processes, and each device's, by name.
    """

    at_s: float
    cpu_fraction: float | None
    memory_bytes: int | None
    devices: dict[str, dict[str, float | None]] = msgspec.field(default_factory=dict)


class Performance(msgspec.Struct, kw_only=True):
    """The content of ``perf.json``. ``reasons`` says why a run is ``unstable``; ``wrong`` which
    subjects answered wrongly at which batch and how, a sentence each; ``timeline``: the counters
    over the time that it took.
    """

    schema: str = SCHEMA
    status: Literal["ok", "unstable"] = "ok"
    reasons: list[str] = msgspec.field(default_factory=list)
    wrong: list[str] = msgspec.field(default_factory=list)
    measurements: list[Measurement]
    ratios: list[Ratio] = msgspec.field(default_factory=list)
    timeline: list[Moment] = msgspec.field(default_factory=list)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One batch and boundary of a board, in images per second: one chip ``alone``, all ``chips``
    ``together``, and ``each`` of them at that time, by device.
    """

    batch: int
    boundary: Boundary
    chips: int
    alone: float
    together: float
    each: dict[str, float | None]

    @property
    def product(self) -> float:
        """The rate that is usually stated for a board: one chip's times the chips."""
        return self.alone * self.chips

    @property
    def share(self) -> float:
        """The fraction of that product that the chips reach together."""
        return self.together / self.product


def board_rows(performance: Performance) -> list[BoardRow]:
    """The rows of a ``card.json``, as measured; without those in which nothing was timed."""
    rates: dict[tuple[Scope, int, Boundary], dict[str, float | None]] = {}
    for m in performance.measurements:
        by_device = rates.setdefault((m.scope, m.batch, m.boundary), {})
        by_device[str(m.device)] = m.images_per_second
    rows = []
    for m in performance.measurements:
        alone = next(iter(rates.get(("alone", m.batch, m.boundary), {}).values()), None)
        if m.scope == "together" and alone and m.images_per_second:
            each = rates.get(("chip", m.batch, m.boundary), {})
            row = BoardRow(m.batch, m.boundary, m.chips, alone, m.images_per_second, each)
            rows.append(row)
    return rows


class Answered(Protocol):
    """A measurement of any kind, whose answers were judged."""

    label: str
    batch: int
    answers: Answers | None


def wrong_answers(measurements: Sequence[Answered]) -> list[str]:
    """A sentence for every subject and batch whose answers are wrong."""
    judged = [(m, m.answers) for m in measurements if m.answers is not None]
    wrong = (f"{m.label}, batch {m.batch}: {a.reason}" for m, a in judged if a.ok is False)
    return list(dict.fromkeys(wrong))


def read_performance(path: str | os.PathLike[str]) -> Performance:
    """Read a ``perf.json``; :class:`InputError` if it is missing, damaged or of another schema."""
    data = read_file(path, "performance file")
    try:
        content = json_in(data)
    except ValueError as error:
        raise InputError(f"'{path}' is not a performance file of PortProof: {error}") from error
    return performance_from(content, os.fspath(path))


def performance_from(data: Any, name: str) -> Performance:
    """The content of a ``perf.json`` that was decoded already; errors as of
    :func:`read_performance`, with the file's ``name``.
    """
    what, remedy = f"performance file '{name}'", "measure again with this version"
    performance = record_from(data, Performance, SCHEMA, what, remedy)
    if not any("scope" in measurement for measurement in data["measurements"]):
        _set_scopes(performance.measurements)
    if not any(m.starts for m in performance.measurements):
        # Intervals of one start hold nothing of what differs between processes: too narrow.
        for ratio in performance.ratios:
            ratio.ci95 = None
    return performance


def _set_scopes(measurements: Sequence[Measurement]) -> None:
    """Set the scopes in a file that was written before there were any: a board's is the only one
    with a measurement of several chips, and names the chip alone in its label.
    """
    if any(m.chips > 1 for m in measurements):
        for m in measurements:
            m.scope = "together" if m.chips > 1 else "alone" if m.label.endswith(ALONE) else "chip"


def write_performance(path: str | os.PathLike[str], performance: Performance) -> None:
    """Write a ``perf.json``, atomically, one line a field, and a measurement or a ratio a line, so
    that a diff stays readable.
    """
    write_bytes(path, one_record_a_line(performance))
