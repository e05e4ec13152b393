"""``trtexec --exportTimes``: a JSON array, one object a query, times in ms. Every figure is derived
from the raw times.

Up to 8.4 the array holds the warm-up queries too (7.x and 8.0 to 8.2 are known by their keys):
those whose compute starts within the first ``--warmUp`` milliseconds, 200 unless it was given.
Percentiles follow trtexec: ascending, index max(n - 1 - int((1 - p / 100) n), 0).
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.logs.families.trtexec.figures import FAMILY
from portproof.logs.logged import CALL, DEVICE, DEVICE_COPIES, Figure, Run

WARM_UP_MS = 200
_KEYS = {
    "latency": ("latencyMs",),
    "compute": ("computeMs",),
    "h2d": ("h2dMs", "inMs"),
    "d2h": ("d2hMs", "outMs"),
}
_OTHER = {"timeMs": "a layer profile (--exportProfile)", "dimensions": "outputs (--exportOutput)"}


def from_json(data: Any, text: str, source: str) -> list[Run] | None:
    """The run of a times file; None for other JSON; :class:`InputError` for other exports."""
    if isinstance(data, dict) and isinstance(data.get("Layers"), list):
        raise InputError(
            f"'{source}' holds layer information (--exportLayerInfo) and no times; give the log or"
            " --exportTimes"
        )
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    for key, what in _OTHER.items():
        if rows and key in rows[-1]:
            raise InputError(
                f"'{source}' holds {what} and no times of queries; give the log or --exportTimes"
            )
    if not rows or len(rows) != len(data) or "computeMs" not in rows[0]:
        return None
    columns = {
        group: column
        for group, keys in _KEYS.items()
        if (column := _column(rows, keys)) is not None
    }
    if len(columns) < 2 or "compute" not in columns:
        raise InputError(
            f"'{source}' looks like trtexec's times but a query lacks a time or has one that is not"
            " a number"
        )
    run = Run(source, FAMILY, 1, status="ok", facts={"exported": "times"})
    transfers = any(max(columns.get(group, [0.0])) > 0 for group in ("h2d", "d2h"))
    boundaries = {"latency": DEVICE_COPIES if transfers else DEVICE, "compute": DEVICE}
    run.figures = _rate(rows, CALL if transfers else DEVICE)
    for group, column in columns.items():
        run.figures += _statistics(group, column, boundaries.get(group))
    run.figures.append(
        Figure(
            "samples",
            len(rows),
            "1",
            None,
            "infer",
            None,
            1,
            derived=f"{len(rows)} queries in the file",
        )
    )
    run.warnings += _warm_up(rows, old=any(key in rows[0] for key in ("endToEndMs", "inMs")))
    return [run]


@dataclass(frozen=True, slots=True)
class Queries:
    """The timed queries of a run, in their order: seconds of each one's computation and latency,
    seconds at which it was finished, and ``rate``, queries a second.
    """

    compute_s: list[float]
    latency_s: list[float]
    finished_s: list[float]
    rate: float


def queries_in(path: Path, warm_up_ms: float = 0.0) -> Queries:
    """The queries of a times file of 8.0 or later, without those whose computation began within
    ``warm_up_ms``. :class:`InputError` for a file without at least two whole queries.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = [row for row in data if row["startComputeMs"] >= warm_up_ms]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"'{path}' holds no times of trtexec's queries ({error})") from error
    compute, latency, ends = (
        [ms / 1000 for ms in _column(rows, (key,)) or ()]
        for key in ("computeMs", "latencyMs", "endD2hMs")
    )
    rate = _rate(rows, CALL)
    whole = compute and latency and ends and rate and rate[0].value
    if len(rows) < 2 or not whole:
        raise InputError(
            f"'{path}' holds the times of {len(rows)} queries, two whole ones are needed"
        )
    return Queries(compute, latency, ends, whole)


def _warm_up(rows: list[dict[str, Any]], old: bool) -> list[str]:
    """Whether warm-up queries are among the times; trtexec 8.4 writes them under the keys of later
    versions.
    """
    early = sum(start < WARM_UP_MS for start in _column(rows, ("startComputeMs",)) or [])
    if early == len(rows):  # a short run, which only --warmUp=0 makes
        early = 0
    shown = (
        f"{early} of {len(rows)} queries start within the {WARM_UP_MS} ms that trtexec warms up by"
        " default"
    )
    if old:
        return [
            "written by trtexec 8.2 or older: warm-up queries are among the times"
            + (f"; {shown}" if early else "")
        ]
    return (
        [
            f"{shown}: unless --warmUp was given, trtexec 8.4 wrote this and warm-up queries are"
            " among the times"
        ]
        if early
        else []
    )


def _column(rows: Sequence[dict[str, Any]], keys: tuple[str, ...]) -> list[float] | None:
    """The times of one kind, in ms, or None unless each row has one."""
    for key in keys:
        values = [row.get(key) for row in rows]
        if all(
            isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) and v >= 0
            for v in values
        ):
            return [float(v) for v in values if v is not None]
    return None


def _rate(rows: Sequence[dict[str, Any]], boundary: str) -> list[Figure]:
    """Queries over the time from the first start to the last end, where both are written: how
    trtexec itself works out its throughput (printPerformanceReport of its sampleReporting.cpp).
    """
    # 7.2.1 writes the two starts under each other's key.
    starts = [*(_column(rows, ("startEnqMs",)) or ()), *(_column(rows, ("startInMs",)) or ())]
    ends = _column(rows, ("endD2hMs", "endOutMs"))
    if not starts or not ends or max(ends) <= min(starts):
        return []
    seconds = (max(ends) - min(starts)) / 1000
    how = f"{len(rows)} queries / {seconds:.7g} s from the first start to the last end"
    return [
        Figure(
            "throughput",
            len(rows) / seconds,
            "batches/s",
            boundary,
            "infer",
            "device",
            1,
            derived=how,
        )
    ]


def _statistics(group: str, milliseconds: list[float], boundary: str | None) -> list[Figure]:
    ordered = sorted(milliseconds)
    kinds: dict[str, Callable[[], float]] = {
        "mean": lambda: statistics.fmean(ordered),
        "median": lambda: statistics.median(ordered),
        "min": lambda: ordered[0],
        "max": lambda: ordered[-1],
        **{
            f"p{p}": lambda p=p: ordered[  # type: ignore[misc]
                max(len(ordered) - 1 - int((1 - p / 100) * len(ordered)), 0)
            ]
            for p in (90, 95, 99)
        },
    }
    how = f"of {len(ordered)} queries"
    return [
        Figure(
            f"{group}_{k}", f() / 1000, "s", boundary, "infer", "device", 1, derived=f"{k} {how}"
        )
        for k, f in kinds.items()
    ]
