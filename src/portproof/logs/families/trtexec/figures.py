"""What trtexec's numbers mean, as figures with their timing boundary.

* ``Throughput`` is queries over host wall time; a query is one enqueue of the whole batch, so qps
  counts batches, except for implicit-batch engines, where it counts samples. With data transfers
  its clock runs from host data to host data: ``call``. Without (``--noDataTransfers``, and the
  default from 11.0) no copy is enclosed: ``device``.
* ``Latency`` is H2D + compute + D2H of one query: ``device+copies``, or ``device`` without
  transfers. Queries overlap, so 1 / latency is not the rate.
* ``GPU Compute Time`` is ``device``; batch / mean is the device's own rate, to set beside an NPU's
  (reports/table.py does, if it is asked for that boundary). With several streams it is
  not valid.
* 7.x with ONNX prints 0 qps (the count of queries was multiplied by a batch of 0). Then queries =
  total compute / mean compute, and the rate is queries / walltime: given as recovered beside a
  value of None.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from portproof.core.text import listed
from portproof.logs.consistency import near
from portproof.logs.families.trtexec.facts import Facts
from portproof.logs.logged import CALL, DEVICE, DEVICE_COPIES, Figure, Run

FAMILY = "trtexec"


@dataclass(slots=True)
class Summary:
    """What was read of one run. ``numbers``: name -> (value as printed, line); ms for statistics,
    seconds for totals. ``not_numbers``: what was printed as ``inf`` or ``nan``. ``only_stderr``:
    nothing of stdout was met yet; where stderr was written first, it belongs to the next banner.
    """

    line: int
    verdict: str | None = None
    active: bool = False
    fatal: bool = False
    many_streams: bool = False
    only_stderr: bool = True
    error: str | None = None
    facts: Facts = field(default_factory=Facts)
    numbers: dict[str, tuple[float, int]] = field(default_factory=dict)
    not_numbers: dict[str, tuple[str, int]] = field(default_factory=dict)
    trace: tuple[int, float, int] | None = None
    warnings: list[str] = field(default_factory=list)

    def value(self, name: str) -> float | None:
        """A number, or None."""
        return self.numbers[name][0] if name in self.numbers else None


def finish(summary: Summary, source: str) -> Run:
    """The run of a summary."""
    facts = summary.facts
    run = Run(
        source, FAMILY, max(summary.line, 1), tool_version=facts.version, facts=facts.as_dict()
    )
    if summary.verdict == "FAILED" or (summary.verdict is None and summary.fatal):
        run.status = "failed"
        run.warnings = [
            "trtexec failed:"
            f" {summary.error or 'the reason went to stderr, which is not in this log'}"
        ]
        return run
    run.status = "ok" if summary.verdict == "PASSED" else "incomplete"
    run.batch, run.batch_source, warnings = facts.batch()
    run.warnings = [*warnings, *summary.warnings]
    if summary.not_numbers:
        printed = [
            f"{name} {number} (line {line})" for name, (number, line) in summary.not_numbers.items()
        ]
        run.warnings.append(f"trtexec printed no number for {listed(printed)}")
    if not summary.numbers:
        run.warnings.append(
            "the log holds no performance summary" + (f"; {summary.error}" if summary.error else "")
        )
        return run
    transfers = facts.transfers(_copies_all_zero(summary))
    run.facts |= {
        "data_transfers": transfers,
        "streams": max(facts.streams, 2) if summary.many_streams else facts.streams,
    }
    run.figures = [*_rates(summary, run, transfers), *_times(summary, transfers)]
    _check(summary, run)
    return run


def _copies_all_zero(summary: Summary) -> bool:
    copies = [
        value for name, (value, _) in summary.numbers.items() if name.startswith(("h2d_", "d2h_"))
    ]
    return bool(copies) and max(copies) == 0


def _rates(summary: Summary, run: Run, transfers: bool) -> list[Figure]:
    """The printed rate, in batches and, where the batch is known, in images a second."""
    if "qps" in summary.not_numbers:
        return [
            Figure(
                "throughput",
                None,
                "batches/s",
                CALL if transfers else DEVICE,
                "infer",
                "device",
                summary.not_numbers["qps"][1],
            )
        ]
    if "qps" not in summary.numbers:
        return []
    value, line = summary.numbers["qps"]
    printed = Figure(
        "throughput", value, "batches/s", CALL if transfers else DEVICE, "infer", "device", line
    )
    if value == 0:
        printed = _recovered(summary, run, printed)
    elif batch := summary.facts.implicit():
        if _counts_batches(summary, value, batch):
            run.warnings.append(
                f"an implicit batch of {batch}: {value:g} qps would be samples, but the log's"
                " totals give as many calls of the whole batch; the rate is not known (line"
                f" {line})"
            )
            return [replace(printed, value=None)]
        printed = replace(printed, unit="images/s")
    return _both_units(printed, run.batch)


def _counts_batches(summary: Summary, qps: float, batch: int) -> bool:
    """Whether the log's own totals say that its rate counts calls, where it must count samples."""
    total, mean, wall = (
        summary.value(name) for name in ("compute_total", "compute_mean", "walltime")
    )
    if summary.trace and summary.trace[0] and summary.trace[1]:
        calls = summary.trace[0] / summary.trace[1]
    elif total and mean and wall:
        calls = total / (mean / 1000) / wall
    else:
        return False
    return batch > 1 and near(calls, qps, 0.05) and not near(calls * batch, qps, 0.05)


def _both_units(figure: Figure, batch: int | None) -> list[Figure]:
    """A rate, and the same in the other unit where the batch is known."""
    if not batch or figure.best_value is None:
        return [figure]
    to_images = figure.unit == "batches/s"
    factor = batch if to_images else 1 / batch
    other = replace(
        figure,
        value=None if figure.value is None else figure.value * factor,
        unit="images/s" if to_images else "batches/s",
        derived=f"{figure.derived or f'{figure.best_value:g}'} {'x' if to_images else '/'} {batch}",
        recovered=None if figure.recovered is None else figure.recovered * factor,
    )
    return [figure, other]


def _recovered(summary: Summary, run: Run, printed: Figure) -> Figure:
    """The rate where 7.x printed 0 qps: None, with what it must have been."""
    total, mean, wall = (
        summary.value(name) for name in ("compute_total", "compute_mean", "walltime")
    )
    if not (total and mean and wall):
        run.warnings.append(
            "trtexec printed 0 qps (a fault of 7.x), and the log does not hold what would recover"
            " the rate"
        )
        return replace(printed, value=None)
    queries = total / (mean / 1000)
    how = f"{total:g} s / {mean:g} ms / {wall:g} s"
    run.warnings.append(
        f"trtexec printed 0 qps (a fault of 7.x); {how} recovers {queries / wall:.6g} batches/s,"
        f" {queries:.0f} queries"
    )
    return replace(printed, value=None, derived=how, recovered=queries / wall)


def _times(summary: Summary, transfers: bool) -> list[Figure]:
    """Every statistic and total, in seconds."""
    boundaries = {
        "latency": DEVICE_COPIES if transfers else DEVICE,
        "compute": DEVICE,
        "end_to_end": CALL,
    }
    found = []
    for name, (value, line) in summary.numbers.items():
        if name == "qps":
            continue
        group = name.rpartition("_")[0]
        if name == "walltime":
            found.append(Figure(name, value, "s", CALL, "infer", "device", line))
        elif name == "compute_total":
            found.append(Figure(name, value, "s", DEVICE, "infer", "device", line))
        else:
            found.append(
                Figure(name, value / 1000, "s", boundaries.get(group), "infer", "device", line)
            )
    if summary.trace and summary.trace[0] > 0:
        found.append(
            Figure(
                "samples",
                summary.trace[0],
                "1",
                None,
                "infer",
                None,
                summary.trace[2],
                note="timed queries",
            )
        )
    return found


def _check(summary: Summary, run: Run) -> None:
    """Queries over wall time against the rate; the parts of the latency against it; streams."""
    qps = summary.value("qps")
    if (
        qps
        and summary.trace
        and summary.trace[0]
        and summary.trace[1]
        and not summary.facts.implicit()
    ):
        queries, wall, _ = summary.trace
        if not near(queries / wall, qps, 0.01):
            run.warnings.append(
                f"{queries} queries in {wall:g} s are {queries / wall:.6g} batches/s, the log"
                f" prints {qps:g}"
            )
    parts = [summary.value(f"{name}_mean") for name in ("h2d", "compute", "d2h")]
    latency = summary.value("latency_mean")
    if latency and None not in parts and not near(sum(p or 0 for p in parts), latency, 0.02):
        shown = " + ".join(f"{p:g}" for p in parts if p is not None)
        run.warnings.append(
            f"the parts of the latency, {shown} ms, are not the mean latency of {latency:g} ms"
        )
    if summary.facts.streams > 1 and not summary.many_streams:
        run.warnings.append(
            f"{summary.facts.streams} inference streams: latencies and compute times are not valid,"
            " the throughput is"
        )
