"""Statistics of two models judged on the same samples: exact McNemar, Tango's score interval, and
how many samples a verdict needs.

The counts are those of the 2 x 2 table's discordant cells: ``broken`` (only the reference is right)
and ``fixed`` (only the port is right) of ``n`` samples. The loss is the reference's accuracy minus
the port's: ``(broken - fixed) / n``.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from portproof.verdict import Verdict

#: Beyond this many samples nobody will decide the matter by measuring more.
MOST_SAMPLES = 10**9
#: The correction for continuity, in samples.
_HALF = 0.5
#: Rates that are tried for :func:`samples_range`.
_DRAWS, _SEED = 100, 20261127


def mcnemar_p(fixed: int, broken: int) -> float:
    """The two-sided p-value of McNemar's exact test: a binomial test of ``fixed`` against
    ``broken`` with probability 1/2.

    Computed in whole numbers, so exact at any size (and without importing scipy, which takes a
    second or two).

    >>> mcnemar_p(6, 16)
    0.0524...
    """
    flips, least = fixed + broken, min(fixed, broken)
    term = tail = 1  # binomial coefficients of ``flips`` and their sum
    for k in range(1, least + 1):
        term = term * (flips - k + 1) // k
        tail += term
    both_tails: float = 2 * tail / (1 << flips)
    return min(1.0, both_tails)


def score_bound(
    more: float, less: float, n: float, confidence: float, continuity: float = 0.0
) -> float:
    """The upper bound, one-sided at ``confidence``, of the difference of paired proportions whose
    estimate is ``(more - less) / n``.

    Tango's score method (Statistics in Medicine 17, 891-908, 1998): the largest difference that the
    score test does not reject. Unlike Wald's it stays above zero when nothing flipped. The counts
    may be fractions of a sample, for planning. ``continuity``: of a sample, taken off the distance
    from differences below zero (see :func:`careful_bounds`).

    >>> round(score_bound(0, 0, 600, 0.95), 5)
    0.00449
    """
    z = NormalDist().inv_cdf(confidence)
    low, high = (more - less) / n, 1.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high):
            return middle
        if _score(more, less, n, middle, continuity if middle < 0 else 0.0) > -z:
            low = middle
        else:
            high = middle


def _score(more: float, less: float, n: float, difference: float, continuity: float = 0.0) -> float:
    """Tango's score statistic of the hypothesis that the true difference is ``difference``; it
    falls as that rises. ``continuity`` is added to the distance from it, in samples.

    The nuisance probability (of the ``less`` cell) is its maximum-likelihood estimate under the
    hypothesis, a root of a quadratic.
    """
    if difference < 0:
        return -_score(less, more, n, -difference, -continuity)
    a = 2 * n
    b = (2 * n - more + less) * difference - more - less
    c = -less * difference * (1 - difference)
    root = math.sqrt(b * b - 4 * a * c)
    # Of the two ways to write the root, the one without a difference of near equals.
    nuisance = (root - b) / (2 * a) if b < 0 else -2 * c / (root + b) if c else 0.0
    variance = n * (2 * nuisance + difference * (1 - difference))
    distance = more - less - n * difference + continuity
    if variance <= 0:
        return 0.0 if distance == 0 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def loss_bounds(
    fixed: float, broken: float, n: float, confidence: float = 0.95
) -> tuple[float, float]:
    """The lower and the upper one-sided bound of the loss, as fractions; each holds at
    ``confidence`` by itself.

    At 0.975 the two together are the two-sided 95 % interval.
    """
    return -score_bound(fixed, broken, n, confidence), score_bound(broken, fixed, n, confidence)


def careful_bounds(
    fixed: float, broken: float, n: float, confidence: float = 0.95
) -> tuple[float, float]:
    """The bounds of the loss, of which the one that proves a change allows for whole samples.

    Flips are few and skewed, and Tango's bounds take them for continuous: where an interval leaves
    zero out, its end near zero lies beyond the truth in up to 8.9 % of experiments instead of 5
    (300 samples, a loss of 1 point). Half a sample taken off the distance, as Yates does, but never
    across zero, brings that to 5.5 % and less, and the coverage of the two-sided interval from
    93.2 % to 95 % and more (``benchmarks/verdict.py``). An interval that holds zero is Tango's own.
    """
    return (
        -score_bound(fixed, broken, n, confidence, _HALF),
        score_bound(broken, fixed, n, confidence, _HALF),
    )


def judge_loss(fixed: float, broken: float, n: float, margin: float) -> Verdict:
    """PASS when the one-sided 95 % upper bound of the loss is under ``margin``, FAIL when the lower
    bound is over it, else UNDECIDED.
    """
    lower, upper = careful_bounds(fixed, broken, n)
    if upper < margin:
        return Verdict.PASS
    return Verdict.FAIL if lower > margin else Verdict.UNDECIDED


def wilson_lower(right: int, n: int, confidence: float = 0.95) -> float:
    """The lower end, one-sided at ``confidence``, of Wilson's score interval of ``right / n``.

    >>> round(wilson_lower(9, 10), 4)
    0.6523
    """
    z = NormalDist().inv_cdf(confidence)
    share = right / n
    spread = z * math.sqrt(share * (1 - share) / n + (z / (2 * n)) ** 2)
    return (share + z * z / (2 * n) - spread) / (1 + z * z / n)


def samples_to_decide(fixed: float, broken: float, n: int, margin: float) -> int | None:
    """About how many samples would decide an undecided comparison, if flips went on at the observed
    rates (three significant digits).

    None when no number would: the observed loss is the margin, or so close to it that over
    :data:`MOST_SAMPLES` were needed.
    """

    def decided(samples: int) -> bool:
        return (
            judge_loss(fixed * samples / n, broken * samples / n, samples, margin)
            is not Verdict.UNDECIDED
        )

    low, high = n, MOST_SAMPLES
    if not decided(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle + 1, high)
    step = int(10 ** max(0, len(str(low)) - 3))
    return -(-low // step) * step


def samples_range(fixed: int, broken: int, n: int, margin: float) -> tuple[int | None, int | None]:
    """The 10th and the 90th percentile of :func:`samples_to_decide` over the rates of flips that
    could have given these counts: Poisson counts around the observed ones, half a flip added to
    each (Jeffreys' prior), by a fixed random series. None: no number of samples would decide.
    """
    import numpy as np

    drawn = np.random.default_rng(_SEED).gamma([fixed + 0.5, broken + 0.5], size=(_DRAWS, 2))
    needed = [samples_to_decide(f, b, n, margin) for f, b in drawn.tolist() if f + b <= n]
    ordered = sorted(MOST_SAMPLES if x is None else x for x in needed)
    low, high = (ordered[len(ordered) * part // 10] for part in (1, 9))
    return (low if low < MOST_SAMPLES else None, high if high < MOST_SAMPLES else None)
