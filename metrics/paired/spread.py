"""How far the loss of a figure is known from a sample of paired results.

The figure may be any function of the samples (mAP, mIoU, WER), so its spread comes from the
jackknife (Efron, Stein, Annals of Statistics 9, 586-596, 1981): the figure without each sample, or,
of more than :data:`MOST_GROUPS`, without each of so many random groups of equal size.

Beside what was seen to differ stands what was not seen: identical results of n samples do not prove
that none of the population differs. For accuracy Tango's score bound says so: of n samples without
a flip the loss may still be z^2 / (n + z^2). The same thought holds for any figure. A hypothesis of
a further loss u means that a share of the samples became worthless, each losing what it carries of
the figure (its *stake*: 1 / n for accuracy, its words over all words for the word error rate, its
objects' shares of their classes for mAP). Such losses have the variance L u - u^2 a sample beside
that seen, s^2, where L is n times the sum of squared stakes over their sum: 1 when all samples
carry the same, n / (the effective number of samples, Kish 1965) otherwise. The bound is the largest
u that is not rejected::

    n u^2 = z^2 (s^2 + L u - u^2)

Without a difference it is z^2 L / (n + z^2), which is Tango's for accuracy; with many it is
z s / sqrt(n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Above this many samples groups of them are left out together.
MOST_GROUPS = 200
SEED = 20240229
#: For reports.
METHOD = "jackknife, with a score bound for samples that were not seen"


@dataclass(frozen=True, eq=False)
class Jackknife:
    """``values``: pseudo-values of one or several statistics, (groups, statistics), whose mean
    estimates each; ``samples``: how many samples the groups hold.
    """

    values: Floats
    samples: int

    def error(self, weights: Floats) -> float:
        """The standard error of a weighted sum of the statistics."""
        found = self.values @ weights
        groups = len(found)
        return float(found.std(ddof=1) / math.sqrt(groups)) if groups > 1 else math.inf


def jackknife(
    statistics: Callable[[Counts], Floats | None], whole: Floats, samples: int
) -> Jackknife | None:
    """The jackknife of ``statistics``, a function of how often each sample counts; ``whole``: its
    value with all samples. None when it is not defined without some of them.
    """
    groups = groups_of(samples)
    values = np.empty((len(groups), len(whole)))
    for at, members in enumerate(groups):
        counts = np.ones(samples, np.int64)
        counts[members] = 0
        without = statistics(counts)
        if without is None:
            return None
        values[at] = len(groups) * whole - (len(groups) - 1) * without
    return Jackknife(values, samples)


def groups_of(samples: int) -> list[NDArray[np.int64]]:
    """The samples that are left out together: each by itself, or random groups of a size that
    differs by one at most. The same for the same number of samples.
    """
    order = np.arange(samples)
    if samples > MOST_GROUPS:
        order = np.random.default_rng(SEED).permutation(samples)
    return [np.sort(part) for part in np.array_split(order, min(samples, MOST_GROUPS))]


def reach(error: float, stakes: Floats, confidence: float) -> float:
    """How far the true value may be from the estimate, one-sided at ``confidence``: the u of this
    module's formula, at most all that the samples carry.

    ``error``: the standard error; ``stakes``: what each sample carries of the figure.

    >>> round(reach(0.0, np.full(600, 1 / 600), 0.95), 5)
    0.00449
    """
    whole = float(stakes.sum())
    if not math.isfinite(error) or whole <= 0:
        return math.inf
    n, z2 = len(stakes), NormalDist().inv_cdf(confidence) ** 2
    share = z2 * float(np.square(stakes).sum()) / whole  # z^2 L / n
    root = math.sqrt(share**2 + 4 * (1 + z2 / n) * z2 * error**2)
    return min((share + root) / (2 * (1 + z2 / n)), max(whole, error * math.sqrt(z2)))
