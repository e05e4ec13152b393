"""Checks of a run's figures against each other. What does not fit becomes a warning that shows both
figures.

Checks that need one tool's own fields are in that tool's module of ``families``.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from portproof.logs.logged import END_TO_END, Figure, Run

#: Groups of figures that share an order: min <= median <= max and min <= mean <= max.
SPREADS = ("latency", "compute", "enqueue", "h2d", "d2h", "end_to_end")

#: By how much rate x latency may miss one second: of benchmark's data read, and of pure inference,
#: which averages the two apart.
READ_SLACK, PURE_SLACK = 0.01, 0.05


def check(run: Run) -> None:
    """Warn if min, mean, median, percentiles and max are out of order: true of every family."""
    for group in SPREADS:
        lowest = f"{group}_min"
        for stage in {f.stage: None for f in run.figures if f.name == lowest}:
            _check_order(run, group, stage)


def _check_order(run: Run, group: str, stage: str | None) -> None:
    """Warn where a mean, a median or a percentile lies outside min and max."""
    low, high = (run.figure(f"{group}_{k}", stage=stage) for k in ("min", "max"))
    inner = re.compile(rf"{group}_(?:mean|median|p[\d.]+)")
    for middle in [f for f in run.figures if f.stage == stage and inner.fullmatch(f.name)]:
        for a, b in ((low, middle), (middle, high)):
            if (
                a
                and b
                and a.value is not None
                and b.value is not None
                and a.value > b.value * (1 + 1e-6)
            ):
                run.warnings.append(f"{a.name} {seconds(a)} is greater than {b.name} {seconds(b)}")


def seconds(figure: Figure) -> str:
    """A time and its line, for a warning."""
    return f"{figure.value:.6g} s (line {figure.line})"


def near(a: float, b: float, tolerance: float) -> bool:
    """Whether two figures agree within a fraction of the greater one."""
    return math.isclose(a, b, rel_tol=tolerance)


def rate_times_latency(run: Run, stage: str) -> float | None:
    """Seconds: a stage's rate x its mean latency, 1 where the stage takes one sample at a time."""
    rate, latency = (run.figure(name, stage=stage) for name in ("throughput", "latency_mean"))
    return _product(rate, latency)


def _product(rate: Figure | None, time: Figure | None) -> float | None:
    """Rate x time where both are printed and the product is no greater than any float."""
    if not (rate and time and rate.value and time.value):
        return None
    product = rate.value * time.value
    return product if math.isfinite(product) else None


def samples_of(run: Run) -> float | None:
    """Number of samples of a benchmark run, not rounded: end-to-end rate x time."""
    rate, time = run.figure("throughput", boundary=END_TO_END), run.figure("walltime")
    return _product(rate, time)


def batch_of_rates(run: Run) -> float | None:
    """The batch that benchmark really ran, not rounded: [infer] rate / [post] rate, since [post]
    counts batches. It is :func:`mean_batch` of the batch and the number of samples.
    """
    rates = {f.stage: f.value for f in run.figures if f.name == "throughput" and not f.boundary}
    infer, post = rates.get("infer"), rates.get("post")
    batch = infer / post if infer and post else math.inf
    return batch if math.isfinite(batch) else None


def mean_batch(batch: int, samples: float | None) -> float:
    """Samples in a batch on average: N / ceil(N / batch); without N, the batch."""
    return samples / math.ceil(samples / batch) if samples else batch


def across(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """What does not fit between runs of one model on one device, each with the run to doubt: a time
    per call that does not grow with the batch, and runs over different numbers of samples.
    """
    return [*_growth(runs), *_sample_counts(runs)]


def warn_across(runs: Iterable[Run]) -> None:
    """Add those findings to the runs' warnings, for runs that belong together: of one tool, folder
    (``bs16`` folders of one) and model, or, where the log does not name its model, of files whose
    names differ in the batch alone. A folder may hold the logs of many models.
    """
    groups: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        folder = Path(run.source).absolute().parent
        folder = folder.parent if re.fullmatch(r"bs\d+", folder.name) else folder
        groups.setdefault((folder, run.family, run.facts.get("label"), _model_of(run)), []).append(
            run
        )
    for group in groups.values():
        for run, sentence in across(group):
            run.warnings.append(sentence)


def _model_of(run: Run) -> str:
    """A model's name, or else the file's, without its batch: what logs of one model at several
    batches share.
    """
    named = re.search(r"--(?:onnx|loadEngine)[= ](\S+)", str(run.facts.get("command") or ""))
    name = named[1] if named else str(run.facts.get("model") or Path(run.source).name)
    return re.sub(r"(?:bs|batch_?size|batch)[_-]?\d+", "", Path(name).stem, flags=re.IGNORECASE)


def call_time(run: Run) -> float | None:
    """Seconds of one call of the whole batch on the device, or None when the log does not tell."""
    mean = run.figure("compute_mean")
    if mean is not None and mean.value:
        return mean.value
    rate = run.figure("throughput", unit="images/s", boundary="device") or run.figure(
        "throughput", unit="images/s", boundary="call"
    )
    return run.batch / rate.best_value if run.batch and rate and rate.best_value else None


def _growth(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    timed = [
        (run.batch, time, run)
        for run in runs
        if run.batch and run.status != "failed" and (time := call_time(run))
    ]
    timed.sort(key=lambda item: item[0])
    found = []
    for (small, less, a), (large, more, b) in itertools.pairwise(timed):
        if large > small and more <= less:
            sentence = (
                f"the time of a call does not grow with the batch: {less:.6g} s at batch {small}"
                f" ({a.source}), {more:.6g} s at batch {large} ({b.source}); are both logs what"
                " they are said to be?"
            )
            found.append((b, sentence))
    return found


def _sample_counts(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    counted = [
        (figure.value, run)
        for run in runs
        if run.family == "benchmark" and (figure := run.figure("samples")) and figure.value
    ]
    if len(counted) < 3:
        return []
    usual = statistics.mode(n for n, _ in counted)
    return [
        (
            run,
            (
                f"rate x time gives {n:.0f} samples here ({run.source}) and {usual:.0f} in the"
                " other logs"
            ),
        )
        for n, run in counted
        if not near(n, usual, 1e-4)
    ]
