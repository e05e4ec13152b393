"""How far the loss of a figure is known from a sample of paired results.

The figure may be any function of the samples (mAP, mIoU, WER), so its spread comes from the paired
bootstrap over samples (Efron, Annals of Statistics 7, 1-26, 1979): both sides with the same samples
drawn again and again. (The jackknife would overstate it for average precision, which jumps when a
recall level is passed.)

Beside what was seen to differ stands what was not seen: identical results of n samples do not prove
that none of the population differs. For accuracy Tango's score bound says so: of n samples without
a flip the loss may still be z^2 / (n + z^2). The same thought holds for any figure. A hypothesis of
a further loss u means that a share of the samples became worthless, each losing what it carries of
the figure (its *stake*: 1 / n for accuracy, its words over all words for the word error rate, its
objects' shares of their classes for mAP). Such losses have the variance L u - u^2 a sample beside
that seen, s^2, where L is n times the stake of a sample that breaks. That is 1 when all carry the
same. Otherwise samples may break the more often the more they carry (a long sentence, a crowded
image), so L is n times the sum of cubed stakes over that of squared ones. The bound is the largest
u that is not rejected::

    n u^2 = z^2 (s^2 + L u - u^2)        while u < L, else u = z s / sqrt(n)

Without a difference it is z^2 L / (n + z^2), which is Tango's for accuracy; with many it is
z s / sqrt(n). The other bound, which FAIL needs, has the same form: there the unseen samples gain
what they lack (a wrong answer 1, a sentence its errors), so L is that of what is missing. For few
samples s is widened as Student's t is (the first term of its Cornish-Fisher expansion).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from portproof.core import progress

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

#: The standard error from so many draws is known to 3.5 % (one standard deviation).
RESAMPLES = 400
SEED = 20240229
#: For reports.
METHOD = "paired bootstrap over samples, with a score bound for what was not seen"
#: A figure that is not defined in more of the resamples rests on too few samples.
MOST_UNDEFINED = 0.01


@dataclass(frozen=True, eq=False)
class Resampled:
    """Values of one or several statistics, (resamples, statistics), of ``samples`` samples."""

    values: Floats
    samples: int

    def error(self, weights: Floats) -> float:
        """The standard error of a weighted sum of the statistics."""
        spread = float((self.values @ weights).std(ddof=1))
        return spread * math.sqrt(self.samples / (self.samples - 1))


def resampled(
    statistics: Callable[[Counts], Floats | None], samples: int, resamples: int = RESAMPLES
) -> Resampled | None:
    """The bootstrap of ``statistics``, a function of how often each sample counts; the same draws
    for the same number of samples. None for a single sample, or when the statistics are not defined
    in more than :data:`MOST_UNDEFINED` of the draws.
    """
    if samples < 2:
        return None
    random, found = np.random.default_rng(SEED), []
    with progress.meter("resampling", resamples, "draws") as meter:
        for _ in range(resamples):
            drawn = random.integers(0, samples, samples)
            value = statistics(np.bincount(drawn, minlength=samples).astype(np.int64))
            if value is not None:
                found.append(value)
            meter.advance(1)
    if len(found) < resamples * (1 - MOST_UNDEFINED):
        return None
    return Resampled(np.array(found), samples)


def reach(error: float, stakes: Floats, confidence: float, most: float | None = None) -> float:
    """How far the true value may be from the estimate, one-sided at ``confidence``: the u of this
    module's formula, at most ``most``, or else all that the samples carry.

    ``error``: the standard error; ``stakes``: what each sample carries of the figure.

    >>> round(reach(0.0, np.full(600, 1 / 600), 0.95), 5)
    0.00449
    """
    most = float(stakes.sum()) if most is None else most
    squares = float(np.square(stakes).sum())
    n, z2 = len(stakes), NormalDist().inv_cdf(confidence) ** 2
    error *= 1 + (z2 + 1) / (4 * max(n - 1, 1))  # Student's t over the normal quantile
    seen = error * math.sqrt(z2)
    single = n * float((stakes**3).sum()) / squares if squares > 0 else 0.0  # L
    if seen >= single:  # more than samples that break could add
        return seen
    root = math.sqrt((z2 * single / n) ** 2 + 4 * (1 + z2 / n) * seen**2)
    return min((z2 * single / n + root) / (2 * (1 + z2 / n)), max(most, seen))
