"""How many times as fast one subject is as another, from blocks that were timed in turn."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence

from portproof.core.errors import InputError
from portproof.measurement import Measurement, Ratio

#: Fewer starts give no interval. Below _RANKED the ranks alone cannot reach 95 %.
LEAST_STARTS, _RANKED = 4, 6
#: The revision of benches whose ratios are formed as here. Before, they were quotients of the
#: medians of all calls.
REVISION = 2


def paired_ratio(a: Measurement, b: Measurement) -> Ratio:
    """``a``'s rate over ``b``'s, of one run, batch and boundary, from blocks taken in pairs.

    The ratio is the median, over all pairs of blocks that were timed one after the other, of the
    quotient of the pair's median calls. A passing load does not bend a median (Touati, Worms &
    Briais, "The Speedup-Test", 2013), and what lasts longer than a pair, such as a neighbour on the
    host who slows the processor for tenths of a second, slows both of its blocks (Bulej et al.,
    "Duet Benchmarking", ICPE 2020): only what meets one block of more than half of the pairs moves
    it.

    A process keeps an offset for as long as it lives (the layout of its memory, the placement of
    its threads), so the start is the unit of the interval, as in Kalibera & Jones, "Rigorous
    benchmarking in reasonable time" (ISMM 2013): over the medians of the logarithms of a start's
    quotients it inverts Wilcoxon's signed-rank test, exactly (Hollander & Wolfe 1999, section 3.3),
    and is widened to hold the ratio itself and the quotient of the medians of all calls, which
    readers of a table form: where the two disagree, the interval shows it. Where two equal models
    take turns these logarithms are symmetric about 0, which is all that it asks for, and no outlier
    can move it far. With 4 or 5 starts it is Student's t.
    :class:`InputError` when the two are not comparable or one has no times.
    """
    if (a.batch, a.boundary) != (b.batch, b.boundary):
        raise InputError(
            f"'{a.label}' (batch {a.batch}, {a.boundary}) and '{b.label}' (batch {b.batch},"
            f" {b.boundary}) have no common ratio"
        )
    starts = _quotients(a, b)
    if not (a.median_s and b.median_s and starts):
        raise InputError(
            f"'{a.label}' over '{b.label}' at batch {a.batch}: one of them has no timed call, or"
            " wrong answers"
        )
    ratio = math.exp(statistics.median(itertools.chain(*starts)))
    held = (ratio, a.clients * b.median_s / (b.clients * a.median_s))
    known = len(starts) >= LEAST_STARTS and a.starts and b.starts
    ends = [math.exp(end) for end in _interval([*map(statistics.median, starts)])] if known else []
    return Ratio(
        a=a.label,
        b=b.label,
        batch=a.batch,
        boundary=a.boundary,
        ratio=ratio,
        ci95=(min(*ends, *held), max(*ends, *held)) if ends else None,
    )


def _quotients(a: Measurement, b: Measurement) -> list[list[float]]:
    """For each start, the logarithms of the quotients of its pairs of blocks. A block without a
    call, or whose median is less than the clock can tell, is in no pair.
    """
    found = []
    for starts in zip(_starts(a), _starts(b), strict=False):
        pairs = [
            (statistics.median(theirs), statistics.median(mine))
            for mine, theirs in zip(*starts, strict=False)
            if mine and theirs
        ]
        found.append([math.log(a.clients * x / (b.clients * y)) for x, y in pairs if x > 0 < y])
    return [logs for logs in found if logs]


def _starts(measurement: Measurement) -> Iterator[list[list[float]]]:
    """The blocks of each start; each block by itself where the starts are not known."""
    blocks = iter(measurement.blocks)
    for count in measurement.starts or [1] * len(measurement.blocks):
        yield list(itertools.islice(blocks, count))


def start_medians(measurement: Measurement) -> list[float]:
    """The median call of each start, in seconds; of each block where the starts are not known."""
    starts = (list(itertools.chain(*blocks)) for blocks in _starts(measurement))
    return [statistics.median(calls) for calls in starts if calls]


def two_run_ratio(
    before: Sequence[float], now: Sequence[float], confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """The speed of now over that of before, from the seconds of starts of two runs that did not
    take turns, with its interval.

    The ratio is Hodges and Lehmann's estimate, the median of all quotients of one of each, and the
    interval inverts the Mann-Whitney test, exactly (Hollander & Wolfe 1999, sections 4.2 and 4.3).
    :class:`InputError` for too few starts to have one.
    """
    outside = _pairs_outside(len(before), len(now), (1 - confidence) / 2)
    if outside < 0:
        raise InputError(
            f"{len(before)} and {len(now)} starts are too few to compare two runs with"
            f" {confidence:.0%} confidence: measure with more --starts"
        )
    quotients = sorted(old / new for old in before for new in now)
    return statistics.median(quotients), (quotients[outside], quotients[-1 - outside])


def _pairs_outside(m: int, n: int, tail: float) -> int:
    """How many ordered quotients of m and n values lie below the interval: the critical value of
    the Mann-Whitney count at ``tail``; -1 if there is none.

    >>> [_pairs_outside(*sizes, 0.025) for sizes in ((10, 10), (5, 8), (4, 4), (3, 3))]
    [23, 6, 0, -1]
    """
    # Gauss's binomial: in how many of the orders of m and n values each count comes up.
    ways = [1]
    for i in range(1, m + 1):
        ways += [0] * (n + i)
        for at in range(len(ways) - 1, n + i - 1, -1):
            ways[at] -= ways[at - n - i]
        for at in range(i, len(ways)):
            ways[at] += ways[at - i]
    most = tail * math.comb(m + n, m)
    return sum(below <= most for below in itertools.accumulate(ways)) - 1


def _interval(logs: Sequence[float]) -> tuple[float, float]:
    if len(logs) < _RANKED:
        from scipy.special import stdtrit

        centre, count = statistics.fmean(logs), len(logs)
        half = float(stdtrit(count - 1, 0.975)) * statistics.stdev(logs) / math.sqrt(count)
        return centre - half, centre + half
    walsh = sorted((x + y) / 2 for i, x in enumerate(logs) for y in logs[i:])
    outside = _ranks_outside(len(logs))
    return walsh[outside], walsh[-1 - outside]


def _ranks_outside(count: int) -> int:
    """How many Walsh averages of ``count`` values lie below the exact 95 % interval: the most whose
    signed-rank sum has a probability of at most 2.5 %.

    >>> [_ranks_outside(n) for n in (6, 10, 20)]  # Hollander & Wolfe, table A.4
    [0, 8, 52]
    """
    ways: list[int] = [1]  # in how many ways ranks 1 to n add up to each sum
    for rank in range(1, count + 1):
        ways = [x + y for x, y in zip(ways + [0] * rank, [0] * rank + ways, strict=True)]
    return sum(40 * below <= 1 << count for below in itertools.accumulate(ways)) - 1
