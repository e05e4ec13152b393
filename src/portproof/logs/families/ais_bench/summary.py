"""``_summary.json`` (and ``sumary.json``, as it was spelled until 2023) of ais_bench, and what its
throughput must be.
"""

from __future__ import annotations

import math
import statistics
from typing import Any

from portproof.logs.consistency import near
from portproof.logs.logged import DEVICE, Figure, Run
from portproof.logs.slowed import note, sign_in_words

FAMILY = "ais_bench"
#: Title of a group of statistics -> its name here, and what its clock encloses.
GROUPS: dict[str, tuple[str, str | None]] = {
    "NPU_compute_time": ("compute", DEVICE),
    "H2D_latency": ("h2d", None),
    "D2H_latency": ("d2h", None),
}
#: No batch is as large; a number that is comes from a damaged log.
MOST_BATCHES = 1 << 20
#: How far a throughput may be from batch / mean where both are printed in full.
_EXACT = 1e-3
_KINDS = {"mean": "mean", "median": "median", "min": "min", "max": "max", "percentile(99%)": "p99"}


def throughput_figure(run: Run, printed: float, line: int, divided: bool = False) -> Figure:
    """The printed throughput as a figure, checked against 1000 x batch / mean; sets the batch where
    only the two together tell it.

    ``divided``: the formula of May 2022, 1000 / mean / batch, which is a rate only at batch 1; a
    summary file does not show its formula, so it is also known by a rate that only this one gives.
    Then the value is None and the true rate is kept as recovered where the batch is known.
    """
    figure = Figure(
        "throughput",
        printed if math.isfinite(printed) and printed > 0 else None,
        "images/s",
        DEVICE,
        "infer",
        "chip",
        line,
    )
    mean = run.figure("compute_mean")
    if mean is None or not mean.value or figure.value is None:
        return figure
    batch, slack = printed * mean.value, _rounding(mean.value)
    if divided or _is_divided(batch, run.batch, slack):
        return _undivided(run, printed, mean.value, figure)
    if run.batch is not None:
        if not near(batch, run.batch, slack):
            expected = f"{run.batch} / {mean.value:.7g} s = {run.batch / mean.value:.7g}"
            run.warnings.append(
                f"the throughput printed, {printed:.7g}, is not batch / mean: {expected}"
            )
    elif 0.5 < batch < MOST_BATCHES and near(
        batch, round(batch), min(slack, 0.1 / round(batch)) if slack > _EXACT else 1e-4
    ):
        run.batch, run.batch_source = round(batch), "throughput x mean compute time"
    elif batch < 1 - slack:
        run.warnings.append(
            f"the throughput printed, {printed:.7g}, times the mean of {mean.value:.7g} s is"
            f" {batch:.4g}, less than one sample in an execution"
        )
    return figure


def _rounding(mean: float) -> float:
    """How far the throughput may be from batch / mean, as a fraction: half of the mean's last
    digit, where a log was shortened by hand.

    >>> _rounding(0.0006610000133514404), round(_rounding(0.00066), 6)
    (0.001, 0.007576)
    """
    shown = f"{mean * 1000:.10g}"
    decimals = len(shown.partition(".")[2]) if "e" not in shown else 10
    return min(max(_EXACT, 0.5 * 10.0**-decimals / (mean * 1000)), 0.02)


def _is_divided(batch: float, known: int | None, slack: float) -> bool:
    """Whether rate x mean is 1 / batch (May 2022): of the known batch, or any up to 128."""
    if batch <= 0 or batch > 0.6 or known == 1:
        return False
    if known is not None:
        return near(1 / batch, known, slack)
    return batch * 128 >= 1 and near(1 / batch, round(1 / batch), 1e-4)


def _undivided(run: Run, printed: float, mean: float, figure: Figure) -> Figure:
    """The rate that the formula of May 2022 should have printed."""
    if run.batch is None:
        batch = 1 / (mean * printed)
        if near(batch, round(batch), 1e-4):
            run.batch, run.batch_source = round(batch), "throughput x mean compute time"
    if run.batch == 1:
        return figure
    true = run.batch / mean if run.batch else None
    stated = (
        f"{run.batch} / {mean:.7g} s = {true:.7g}"
        if true
        else "batch / mean, and the batch is not known"
    )
    run.warnings.append(
        f"this version divided by the batch: it printed {printed:.7g}, the throughput is {stated}"
    )
    return Figure(
        "throughput",
        None,
        "images/s",
        DEVICE,
        "infer",
        "chip",
        figure.line,
        derived=stated if true else None,
        recovered=true,
    )


def from_json(data: Any, text: str, source: str) -> list[Run] | None:
    """The run of a summary file; None for other JSON."""
    if (
        not isinstance(data, dict)
        or not isinstance(data.get("NPU_compute_time"), dict)
        or "throughput" not in data
    ):
        return None
    run = Run(source, FAMILY, _line(text, "NPU_compute_time"), status="ok")
    for key, (group, boundary) in GROUPS.items():
        found = data.get(key)
        values: dict[str, Any] = found if isinstance(found, dict) else {}
        for kind, name in _KINDS.items():
            value = _number(values.get(kind))
            if value is not None:
                run.figures.append(
                    Figure(
                        f"{group}_{name}",
                        value / 1000,
                        "s",
                        boundary,
                        "infer",
                        "chip",
                        _line(text, key),
                    )
                )
    _batch_from_arguments(run, data.get("args"))
    printed = _number(data["throughput"])
    if printed is None:
        run.status = "incomplete"
        run.warnings.append("the throughput is not a number")
    else:
        run.figures.insert(0, throughput_figure(run, printed, _line(text, "throughput")))
    arguments = data.get("args")
    if what := sign_in_words(list(map(str, arguments)) if isinstance(arguments, list) else []):
        note(run, what)
    _check_list(run, data)
    files = data.get("filesinfo")
    _check_files(run, data, len(files) if isinstance(files, dict) else 0)
    if isinstance(files, dict) and files:
        how = f"{len(files)} entries of filesinfo"
        run.figures.append(
            Figure(
                "samples", len(files), "1", None, None, None, _line(text, "filesinfo"), derived=how
            )
        )
    return [run]


def _batch_from_arguments(run: Run, arguments: Any) -> None:
    """The batch given on the command line, which is what the tool multiplied by."""
    words = [str(a) for a in arguments] if isinstance(arguments, list) else []
    pairs = [word.partition("=")[::2] for word in words]
    for i, (flag, value) in enumerate(pairs):
        value = value or (words[i + 1] if i + 1 < len(words) else "")
        if (
            flag in ("--batchsize", "--dymBatch")
            and value.isdecimal()
            and 0 < int(value) < MOST_BATCHES
        ):
            run.batch, run.batch_source = int(value), "command line"
            if flag == "--batchsize":
                return


def _check_list(run: Run, data: dict[str, Any]) -> None:
    """Take the list of every time, and compare the mean with it."""
    times, mean = data.get("npu_compute_time_list"), run.figure("compute_mean")
    values = [v for v in map(_number, times) if v is not None] if isinstance(times, list) else []
    run.times = [v / 1000 for v in values]
    if (
        values
        and mean
        and mean.value is not None
        and not near(statistics.fmean(values) / 1000, mean.value, 1e-4)
    ):
        run.warnings.append(
            f"the mean is {mean.value:.7g} s, the list of {len(values)} times gives"
            f" {statistics.fmean(values) / 1000:.7g} s"
        )


def _check_files(run: Run, data: dict[str, Any], samples: int) -> None:
    """More samples than the executions can hold: the throughput counts too small a batch."""
    times = data.get("npu_compute_time_list")
    executions = len(times) if isinstance(times, list) else 0
    if run.batch and executions and samples > run.batch * executions:
        run.warnings.append(
            f"the throughput counts batch {run.batch}, but {executions} executions took {samples}"
            " samples (--batchsize was wrong)"
        )


def _number(value: Any) -> float | None:
    """A finite, not negative number, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _line(text: str, key: str) -> int:
    """1-based line of a key."""
    return text.count("\n", 0, max(text.find(f'"{key}"'), 0)) + 1
