"""One run of trtexec: whether its log proves what was asked for, and the blocks of seconds in the
times of its queries.

``device``: the GPU's time of each query, without transfers. With transfers: ``device+copies``, the
latency of each query (copy in, compute, copy out, without waiting in a queue), and ``call``, the
time from one finished query to the next. Queries overlap, so ``call`` is what gives the rate of a
host that feeds the GPU; trtexec's qps is its inverse.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portproof.convert.nvidia.trtexec import Mode, Shape, Trtexec, run_of, why_it_failed
from portproof.core.errors import InputError
from portproof.core.shell import Finished
from portproof.host.tensorrt_versions import Version
from portproof.logs.families.trtexec.export_times import Queries, queries_in
from portproof.logs.logged import Run
from portproof.measurement import Boundary

DEVICE_MODE = Mode(graph=True, spin=True, transfers=False)
CALL_MODE = Mode(graph=True, spin=True, transfers=True)
#: Which mode gives which boundary.
BOUNDARIES: tuple[tuple[Mode, Boundary], ...] = (
    (DEVICE_MODE, "device"),
    (CALL_MODE, "device+copies"),
    (CALL_MODE, "call"),
)
_CV_PERCENT = 2.5
_MOST_FIGURES = 2000
#: Up to 8.4 the times include the queries of the warm-up, which are those whose computation began
#: within it.
_WARMUP_MS, _WITHOUT_WARMUP = 1000.0, (8, 5, 0)
#: Queries from which the printed rate and that of the times must agree so far.
_ENOUGH, _AGREEMENT = 100, 0.05


@dataclass(frozen=True, slots=True)
class Series:
    """The queries of one run in a mode, their doubts, and whether a CUDA graph ran."""

    queries: Queries
    doubts: list[str]
    graph: bool


def checked(
    done: Finished,
    tool: Trtexec,
    batch: int,
    shapes: Mapping[str, Shape],
    *,
    mode: Mode,
    times: Path,
) -> tuple[Series, Run]:
    """The queries of a run that passed, in the mode and at the batch that were asked for."""
    run = run_of(done)
    if run is None or run.status != "ok" or done.exit_code or not times.is_file():
        raise done.failure(f"trtexec did not finish its bench: {why_it_failed(done)}")
    check_bindings(done, run, batch, shapes)
    failed = bool(run.facts.get("graph_failed"))
    for name, enabled in run.facts.get("modes", {}).items():
        if enabled != getattr(mode, name):
            state = "enabled" if enabled else "disabled"
            raise done.failure(f"trtexec ran with {name} {state}, which was not asked for")
    doubts = (
        ["CUDA graph capture failed, so the engine was launched kernel by kernel"] if failed else []
    )
    variation = run.facts.get("variation_percent", 0.0)
    if variation > _CV_PERCENT:
        doubts.append(f"the GPU compute time varies by {variation:.1f} % (limit {_CV_PERCENT:g} %)")
    try:
        queries = _queries(times, tool.version)
    except InputError as error:
        raise done.failure(f"{error}; run the bench again, for longer") from error
    count, printed = len(queries.compute_s), run.figure("throughput", unit="batches/s")
    stated = (printed.value or 0.0) if printed else queries.rate
    if count >= _ENOUGH and abs(stated / queries.rate - 1) > _AGREEMENT:
        doubts.append(
            f"trtexec prints {stated:g} queries a second, its times of {count} queries give"
            f" {queries.rate:.6g}"
        )
    return Series(queries, doubts, mode.graph and not failed), run


def check_bindings(done: Finished, run: Run, batch: int, shapes: Mapping[str, Shape]) -> None:
    """The bound shapes are those that were asked for; without any, each begins with the batch."""
    bound: dict[str, str] = run.facts.get("bindings", {})
    right = (
        all(bound.get(name) == "x".join(map(str, shape)) for name, shape in shapes.items())
        if shapes
        else {dims.split("x")[0] for dims in bound.values()} == {str(batch)}
    )
    if not bound or not right or run.facts.get("overridden"):
        shown = ", ".join(f"{name}: {dims}" for name, dims in bound.items()) or "no input binding"
        raise done.failure(f"trtexec was to measure batch {batch}, its log shows {shown}")


def _queries(path: Path, version: Version) -> Queries:
    """The queries of ``--exportTimes``, without those of the warm-up."""
    return queries_in(path, 0.0 if version >= _WITHOUT_WARMUP else _WARMUP_MS)


def times_file(folder: Path, batch: int, mode: Mode, number: int) -> Path:
    """Where trtexec's own times of a run are; ``folder`` is that of the measurement, ``number``
    counts from 1.
    """
    kind = "call" if mode.transfers else "device"
    return folder / f"bs{batch}" / "logs" / f"trtexec_{kind}_{number}.json"


def block_in(path: Path, version: Version, boundary: Boundary) -> list[float]:
    """The block of a measurement that a run's own times give: seconds, to the nanosecond.
    :class:`InputError` for a file that holds no times.
    """
    return block_of(_queries(path, version), boundary)


def block_of(queries: Queries, boundary: Boundary) -> list[float]:
    """The block of seconds of a boundary."""
    if boundary == "call":
        ends = sorted(queries.finished_s)
        seconds = _grouped([b - a for a, b in itertools.pairwise(ends)])
    else:
        seconds = _thinned(queries.compute_s if boundary == "device" else queries.latency_s)
    return [round(s, 9) for s in seconds]


def _thinned(values: list[float]) -> list[float]:
    """Every n-th, so many as a file should hold; all of them are in trtexec's own file."""
    return values[:: -(-len(values) // _MOST_FIGURES)]


def _grouped(values: list[float]) -> list[float]:
    """Means of n neighbours, which keep the sum and so the rate."""
    size = -(-len(values) // _MOST_FIGURES)
    return [statistics.fmean(values[i : i + size]) for i in range(0, len(values) - size + 1, size)]
