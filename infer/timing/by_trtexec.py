"""Timing engines by trtexec: in two modes, both said in full, so that figures of all versions of
TensorRT are of one kind.

``device``: CUDA graph, spinning, no transfers; the GPU's time of each query. With transfers in
place: ``device+copies``, the latency of each query (copy in, compute, copy out, without waiting in
a queue), and ``call``, the time from one finished query to the next. Queries overlap, so the last
is the one that tells the rate of a host that feeds the GPU; trtexec's qps is its inverse.
"""

from __future__ import annotations

import itertools
import json
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import portproof
from portproof.convert.nvidia.trtexec import (
    Mode,
    Shape,
    Trtexec,
    bench_command,
    find_trtexec,
    has_passed,
    why_it_failed,
)
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.core.files import existing_file
from portproof.core.shell import Finished, run_program
from portproof.host.nvidiasmi import gpu_here
from portproof.host.tensorrt_versions import Version
from portproof.infer.runtimes.trt_engine import precision_said
from portproof.infer.timing.devices.watch import Devices, Watch, device_counters, device_doubts
from portproof.infer.timing.workers.counters import Meter, host_doubts, summary
from portproof.measurement import (
    Boundary,
    Measurement,
    Performance,
    read_performance,
    write_performance,
)
from portproof.proof.freshness import difference
from portproof.proof.sidecar import environment, proof_of
from portproof.proof.work import Work

DEVICE_MODE = Mode(graph=True, spin=True, transfers=False)
CALL_MODE = Mode(graph=True, spin=True, transfers=True)
#: Which boundary the runs of a mode tell.
BOUNDARIES: tuple[tuple[Mode, Boundary], ...] = (
    (DEVICE_MODE, "device"),
    (CALL_MODE, "device+copies"),
    (CALL_MODE, "call"),
)
SECONDS, REPEATS = 3.0, 3
_STEADY, _CV_PERCENT = 0.1, 2.5
_MOST_FIGURES = 2000
#: Up to 8.4 the times include the queries of the warm-up, which are those whose computation began
#: within it.
_WARMUP_MS, _WITHOUT_WARMUP = 1000.0, (8, 5, 0)
#: One trtexec at a time is ours, whose id is not known.
OURS = (-1,)
_BINDING = re.compile(r"[Ii]nput binding for (.+) with dimensions (\d+(?:x\d+)*)")
_STARTING = re.compile(r"\[(\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d)\] \[I\] Starting inference")
_CV = re.compile(r"GPU compute time is unstable, with coefficient of variance = ([\d.e+-]+)%")
#: Not what is merely advised: "--useCudaGraph (utilize CUDA graphs where possible) may increase the
#: throughput".
_CAPTURE_FAILED = re.compile(
    r"\[W\].*(?:CUDA graph capture|--useCudaGraph flag has been ignored)", re.IGNORECASE
)
_QPS = re.compile(r"\] Throughput: ([\d.e+-]+|inf) qps")
#: Queries from which the printed rate and that of the times must agree so far: a run's first and
#: last query weigh less.
_ENOUGH, _AGREEMENT = 100, 0.05
_LINES = {"graph": "CUDA Graph", "spin": "Spin-wait", "transfers": "Data transfers"}


@dataclass(frozen=True, slots=True)
class TrtBench:
    """What to time: a label, the engine's path, which may hold ``{batch}``, batch sizes, the
    device, and how long and how often.
    """

    label: str
    engine: str
    batches: tuple[int, ...]
    device: str = "cuda:0"
    seconds: float = SECONDS
    repeats: int = REPEATS

    def file(self, batch: int) -> Path:
        """The engine of a batch."""
        return Path(self.engine.replace("{batch}", str(batch)))


@dataclass(frozen=True, slots=True)
class Series:
    """One run of trtexec: seconds of its queries by boundary, what it warned of, whether it
    launched a CUDA graph, and queries a second.
    """

    times: Mapping[Boundary, list[float]]
    queries: int
    doubts: tuple[str, ...]
    graph: bool
    rate: float


def bench_engines(plan: TrtBench, out: Path) -> Performance:
    """Time every batch and write ``out`` with its sidecar, the logs beside it in ``bs<N>/logs``.

    Raises :class:`InputError` for an engine that cannot be timed at its batch and
    :class:`ToolError` when trtexec fails, ran in another mode than it was told, or measured another
    batch.
    """
    if not plan.seconds > 0:
        raise InputError(
            f"a run of {plan.seconds:g} s has no end or no query: give more than 0 --seconds"
        )
    if not re.fullmatch(r"cuda(:[0-9]+)?", plan.device):
        raise InputError(
            f"trtexec runs on an NVIDIA GPU: --device is '{plan.device}', 'cuda:0' (or another"
            " number) was expected"
        )
    engines = [existing_file(plan.file(b), "engine") for b in plan.batches]
    shapes = {b: shapes_of(plan.file(b), b) for b in plan.batches}
    tool = find_trtexec()
    parameters = {
        "label": plan.label,
        "batches": plan.batches,
        "device": plan.device,
        "seconds": plan.seconds,
        "repeats": plan.repeats,
        "tensorrt": tool.version_text,
        "gpu": gpu_here(),
    }
    work = Work("trtbench", out, inputs={"model": engines}, parameters=parameters)
    if work.is_done():
        return read_performance(out)
    work.begin()
    performance = Performance(measurements=[], environment=environment())
    performance.versions = {"portproof": portproof.__version__, "tensorrt": tool.version_text}
    devices = Devices([plan.device])
    for batch in plan.batches:
        progress.say(f"trtbench: {plan.label}, batch {batch}")
        found, doubts = _measure(
            plan,
            tool,
            batch,
            shapes=shapes[batch],
            watch=devices.watch(plan.device),
            folder=out.absolute().parent,
        )
        performance.measurements += found
        performance.reasons += [f"{plan.label}, batch {batch}: {why}" for why in doubts]
    performance.status = "unstable" if performance.reasons else "ok"
    write_performance(out, performance)
    work.finish([out], {"status": performance.status, "reasons": performance.reasons})
    return performance


def shapes_of(engine: Path, batch: int) -> dict[str, Shape]:
    """The shapes to run, from the engine's sidecar: those it was built for, with the batch in the
    place of the best one. Empty for a static model.
    """
    proof = proof_of(engine)
    if proof is None or "shapes" not in proof.parameters:
        raise InputError(
            f"'{engine}' has no sidecar that says its shapes; build it with convert/onnx2trt.py"
        )
    records = [r for r in proof.outputs if Path(r.path).name == engine.name]
    if all(difference(record, engine) for record in records):
        raise InputError(
            f"'{engine}' is not the file that its sidecar describes; build it again with"
            " convert/onnx2trt.py"
        )
    found: dict[str, Shape] = {}
    for name, (low, best, high) in proof.parameters["shapes"].items():
        if not low[0] <= batch <= high[0]:
            raise InputError(
                f"'{engine}' was built for batches of {low[0]} to {high[0]}, --batch asks for"
                f" {batch}; build one for it"
            )
        found[name] = (batch, *best[1:])
    return found


def _measure(
    plan: TrtBench,
    tool: Trtexec,
    batch: int,
    *,
    shapes: Mapping[str, Shape],
    watch: Watch,
    folder: Path,
) -> tuple[list[Measurement], list[str]]:
    """Both modes in turn, several times: a process each, whose runs are the blocks."""
    runs: dict[Mode, list[Series]] = {DEVICE_MODE: [], CALL_MODE: []}
    usages, watched_s, images = [], 0.0, 0.0
    for number in range(1, plan.repeats + 1):
        for mode, series in runs.items():
            times = times_file(folder, batch, mode, number)
            command = bench_command(
                tool, plan.file(batch).absolute(), shapes, mode, times=times, seconds=plan.seconds
            )
            command.append(f"--device={plan.device.partition(':')[2] or '0'}")
            meter = Meter(children=True)
            with watch.block():
                done = run_program(
                    command, times.with_suffix(".log"), timeout_s=60 + 10 * plan.seconds
                )
            usages.append([meter.usage()])
            one = _checked(done, tool, batch, shapes, mode=mode, times=times)
            series.append(one)
            seconds = watch.narrow(*_timed_between(done, plan.seconds))
            watched_s, images = watched_s + seconds, images + batch * one.rate * seconds
    host = summary(usages)
    counters = host | device_counters(watch, watched_s, images, OURS)
    found = [
        _measurement(
            plan, tool, batch, boundary=boundary, mode=mode, runs=runs[mode], counters=counters
        )
        for mode, boundary in BOUNDARIES
    ]
    reasons = host_doubts(host) + device_doubts(watch, OURS)
    reasons += dict.fromkeys(why for series in runs.values() for s in series for why in s.doubts)
    return found, reasons + [why for m in found for why in spread(m)]


def _timed_between(done: Finished, seconds: float) -> tuple[float, float]:
    """Unix times between which trtexec certainly infers: what comes before loads the engine on an
    idle GPU in a slow state.

    Its log says in local time, cut to the second, when the warm-up of 1 s began. Half a second more
    is left for the clocks to rise.
    """
    stamp = _STARTING.search(done.output)
    if stamp is None:
        raise done.failure("trtexec's log does not say when it started to infer")
    began = time.mktime(time.strptime(stamp[1], "%m/%d/%Y-%H:%M:%S"))
    return began + 1.5, began + 1 + seconds


def _checked(
    done: Finished,
    tool: Trtexec,
    batch: int,
    shapes: Mapping[str, Shape],
    *,
    mode: Mode,
    times: Path,
) -> Series:
    """The queries of a run that passed, in the mode that it was told, at the batch that the log
    proves.
    """
    output = done.output
    if not has_passed(done) or not times.is_file():
        raise done.failure(f"trtexec did not finish its bench: {why_it_failed(done)}")
    _check_bindings(done, batch, shapes)
    failed = bool(_CAPTURE_FAILED.search(output))
    for field, title in _LINES.items():
        line = re.search(rf"\] {title}: (Enabled|Disabled)", output)
        if line and (line[1] == "Enabled") != getattr(mode, field):
            raise done.failure(
                f"trtexec ran with '{title}: {line[1]}', which is not what it was told"
            )
    doubts = (
        ["CUDA graph capture failed, so the engine was launched kernel by kernel"] if failed else []
    )
    variation = _CV.search(output)
    if variation and float(variation[1]) > _CV_PERCENT:
        doubts.append(
            f"the GPU compute time varies by {float(variation[1]):.1f} % (limit {_CV_PERCENT:g} %)"
        )
    rows = _rows(times, tool.version)
    rate, printed = _rate(rows), _QPS.search(output)
    if printed and len(rows) >= _ENOUGH and abs(float(printed[1]) / rate - 1) > _AGREEMENT:
        doubts.append(
            f"trtexec prints {printed[1]} queries a second, its times of {len(rows)} queries give"
            f" {rate:.6g}"
        )
    return Series(_times(rows, mode), len(rows), tuple(doubts), mode.graph and not failed, rate)


def _check_bindings(done: Finished, batch: int, shapes: Mapping[str, Shape]) -> None:
    """The shapes that were bound are those that were asked for; without any, the first dimensions
    are the batch.
    """
    bound = {name: tuple(map(int, dims.split("x"))) for name, dims in _BINDING.findall(done.output)}
    right = (
        all(bound.get(name) == shape for name, shape in shapes.items())
        if shapes
        else {dims[0] for dims in bound.values()} == {batch}
    )
    if not bound or not right or "Automatically" in done.output:
        shown = (
            ", ".join(f"{name}: {'x'.join(map(str, dims))}" for name, dims in bound.items())
            or "no input binding"
        )
        raise done.failure(f"trtexec was to measure batch {batch}, its log shows {shown}")


def _rate(rows: Sequence[Mapping[str, float]]) -> float:
    """Queries a second."""
    ends = [row["endComputeMs"] for row in rows]
    return 1e3 * (len(rows) - 1) / (max(ends) - min(ends))


def _rows(path: Path, version: Version) -> list[dict[str, float]]:
    """The queries of ``--exportTimes``, without those of the warm-up."""
    try:
        rows: list[dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
        counted = [
            row for row in rows if version >= _WITHOUT_WARMUP or row["startComputeMs"] >= _WARMUP_MS
        ]
        if len(counted) > 1 and all(
            {"computeMs", "latencyMs", "endComputeMs", "endD2hMs"} <= row.keys() for row in counted
        ):
            return counted
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ToolError(
            f"'{path}' holds no times of trtexec's queries ({error}); run the bench again"
        ) from error
    raise ToolError(
        f"'{path}' holds the times of {len(counted)} whole queries; run the bench again, for longer"
    )


def _times(rows: Sequence[Mapping[str, float]], mode: Mode) -> dict[Boundary, list[float]]:
    if not mode.transfers:
        return {"device": _thinned([row["computeMs"] / 1e3 for row in rows])}
    ends = sorted(row["endD2hMs"] / 1e3 for row in rows)
    return {
        "device+copies": _thinned([row["latencyMs"] / 1e3 for row in rows]),
        "call": _grouped([b - a for a, b in itertools.pairwise(ends)]),
    }


def times_file(folder: Path, batch: int, mode: Mode, number: int) -> Path:
    """Where trtexec's own times of a run stand; ``folder`` is that of the measurement, ``number``
    counts from 1.
    """
    return (
        folder
        / f"bs{batch}"
        / "logs"
        / f"trtexec_{'call' if mode.transfers else 'device'}_{number}.json"
    )


def block_in(path: Path, version: Version, mode: Mode, boundary: Boundary) -> list[float]:
    """The block of a measurement that a run's own times give: seconds, to the nanosecond.
    :class:`ToolError` for a file that holds no times.
    """
    return [round(s, 9) for s in _times(_rows(path, version), mode)[boundary]]


def _thinned(values: list[float]) -> list[float]:
    """Every n-th, so many as a file should hold; all of them stand in trtexec's own file."""
    return values[:: -(-len(values) // _MOST_FIGURES)]


def _grouped(values: list[float]) -> list[float]:
    """Means of n neighbours, which keep the sum and so the rate."""
    size = -(-len(values) // _MOST_FIGURES)
    return [statistics.fmean(values[i : i + size]) for i in range(0, len(values) - size + 1, size)]


def _measurement(
    plan: TrtBench,
    tool: Trtexec,
    batch: int,
    *,
    boundary: Boundary,
    mode: Mode,
    runs: Sequence[Series],
    counters: dict[str, Any],
) -> Measurement:
    effective = replace(mode, graph=all(s.graph for s in runs))
    return Measurement(
        label=plan.label,
        model=str(plan.file(batch)),
        backend="trtexec",
        batch=batch,
        boundary=boundary,
        precision=precision_said(plan.file(batch)),
        clients=1,
        inputs="random",
        blocks=[[round(s, 9) for s in run.times[boundary]] for run in runs],
        device=plan.device,
        provider=f"trtexec {tool.version_text}",
        options={name: "on" if getattr(effective, name) else "off" for name in _LINES},
        counters=counters | {"queries": sum(run.queries for run in runs)},
    )


def spread(measurement: Measurement) -> list[str]:
    """Runs whose medians differ too much."""
    medians = [statistics.median(block) for block in measurement.blocks]
    difference = (max(medians) - min(medians)) / statistics.median(medians)
    if difference <= _STEADY:
        return []
    return [
        f"the medians of {len(medians)} runs differ by {difference:.0%} at {measurement.boundary}"
        f" (limit {_STEADY:.0%})"
    ]
