"""Whether the clock of a bench can be trusted: the reasons why a measurement is unstable."""

from __future__ import annotations

import math
import statistics
import sys

from portproof.measurement import Measurement

#: Limits on the medians of blocks: their interquartile range over their median; their trend over
#: the run, which must also be significant at SIGNIFICANCE, since a few blocks of noise have a slope
#: too.
SPREAD, DRIFT, SIGNIFICANCE = 0.10, 0.05, 0.01
_LEAST_BLOCKS = 6


#: Runs of trtexec are few, a process each, and as long as a clock needs to settle: their medians
#: must agree within this.
RUNS_DIFFER = 0.1


def doubts_of(measurement: Measurement) -> list[str]:
    """The doubts about its clock that a measurement's own seconds raise, each with its place."""
    if measurement.backend != "trtexec":
        return reasons(measurement)
    where = f"{measurement.label}, batch {measurement.batch}"
    return [f"{where}: {why}" for why in runs_differ(measurement)]


def runs_differ(measurement: Measurement) -> list[str]:
    """Why the runs of a program, one a block, are not of one speed."""
    medians = [statistics.median(block) for block in measurement.blocks if block]
    difference = (max(medians) - min(medians)) / statistics.median(medians) if medians else 0.0
    if difference <= RUNS_DIFFER:
        return []
    return [
        f"the medians of {len(medians)} runs differ by {difference:.0%} at {measurement.boundary}"
        f" (limit {RUNS_DIFFER:.0%})"
    ]


def reasons(measurement: Measurement) -> list[str]:
    """Why the times of a measurement are not those of a steady state; empty if they are, or if
    there are too few blocks to tell.
    """
    medians = [statistics.median(block) for block in measurement.blocks if block]
    if len(medians) < _LEAST_BLOCKS:
        return []
    where = f"{measurement.label}, batch {measurement.batch}, {measurement.boundary}"
    found = []
    spread = _spread(medians)
    if spread > SPREAD:
        found.append(
            f"{where}: the middle half of the block medians spreads over {100 * spread:.0f} %"
            f" (limit {100 * SPREAD:.0f} %)"
        )
    drift, chance = _drift(medians)
    if abs(drift) > DRIFT and chance < SIGNIFICANCE:
        found.append(
            f"{where}: calls became {100 * abs(drift):.0f} % {'slower' if drift > 0 else 'faster'}"
            f" over the run (limit {100 * DRIFT:.0f} %)"
        )
    return found


def _spread(medians: list[float]) -> float:
    low, _, high = statistics.quantiles(medians, n=4, method="inclusive")
    return (high - low) / statistics.median(medians)


def _drift(medians: list[float]) -> tuple[float, float]:
    """Relative change from the first to the last block by a least-squares line through the
    logarithms, and the probability of such a slope without a trend (two-sided t test).
    """
    from scipy.special import stdtr

    count, logs = len(medians), [math.log(m) for m in medians]
    centre, mean = (count - 1) / 2, statistics.fmean(logs)
    square = sum((i - centre) ** 2 for i in range(count))
    slope = sum((i - centre) * (y - mean) for i, y in enumerate(logs)) / square
    rest = sum((y - mean - slope * (i - centre)) ** 2 for i, y in enumerate(logs)) / (count - 2)
    error = math.sqrt(max(rest, sys.float_info.min) / square)
    return math.expm1(slope * (count - 1)), 2 * float(stdtr(count - 2, -abs(slope) / error))
