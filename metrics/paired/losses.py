"""The loss of a figure between two sides of the same samples: its interval, and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.evaluation.evaluate import figure_value, own_figure
from portproof.metrics.paired.spread import Resampled, reach, resampled
from portproof.metrics.tasks import Figure
from portproof.verdict import Verdict

Floats = NDArray[np.float64]

_LIKELY = (
    "is the truth of these samples, are preprocessing and post-processing the model's own, are"
    " these the trained weights?"
)


@dataclass(frozen=True)
class Loss:
    """How much worse the port is, in the figure's unit, whichever direction is worse.

    ``lower`` and ``upper`` bound it, each one-sided at 95 %; ``low`` and ``high`` are the two-sided
    95 % interval. ``doubt``: why there is no ground for a verdict; the bounds are None when the
    figure is not defined.
    """

    reference: float | None
    port: float | None
    value: float | None
    lower: float | None
    upper: float | None
    low: float | None
    high: float | None
    doubt: str | None

    def verdict(self, margin: float) -> Verdict:
        """PASS when the loss is surely under the margin, FAIL when it is surely over it."""
        if self.doubt or self.upper is None or self.lower is None:
            return Verdict.UNDECIDED
        if self.upper < margin:
            return Verdict.PASS
        return Verdict.FAIL if self.lower > margin else Verdict.UNDECIDED

    def samples_needed(self, margin: float, samples: int) -> int | None:
        """About how many samples would decide, if the loss stays as it is: a bound comes nearer by
        the root of their number. None where it is decided, in doubt, or where no number would do.
        """
        if self.verdict(margin) is not Verdict.UNDECIDED or self.doubt or self.value is None:
            return None
        bound = self.upper if self.value < margin else self.lower
        if bound is None or self.value == margin:
            return None
        return math.ceil(samples * ((bound - self.value) / (margin - self.value)) ** 2)


def loss_of(
    task: Any, figure: Figure, one: Contributions, other: Contributions, margin: float
) -> Loss:
    """The loss from the reference ``one`` to the port ``other``, of the same samples in the same
    order; ``margin`` in the figure's unit.
    """
    sign = 1.0 if figure.higher_is_better else -1.0

    def both(counts: NDArray[np.int64]) -> Floats | None:
        values = [figure_value(task, figure.name, side, counts) for side in (one, other)]
        return None if None in values else np.array(values, np.float64)

    whole = both(np.ones(len(one), np.int64))
    if whole is None:
        return _undefined(task, figure, one, other)
    reference, port = whole.tolist()
    value = sign * (reference - port)
    found = resampled(both, len(one))
    stakes, missing = stakes_of(task, figure, one), missing_of(task, figure, one)
    if found is None:
        return Loss(reference, port, value, None, None, None, None, _few(figure, len(one)))
    error = found.error(np.array([sign, -sign]))
    up, high = (reach(error, stakes, level) for level in (0.95, 0.975))
    down, low = (reach(error, missing, level, float(stakes.sum())) for level in (0.95, 0.975))
    return Loss(
        reference,
        port,
        value,
        value - down,
        value + up,
        value - low,
        value + high,
        _doubt(task, figure, one, found, reference=reference, margin=margin),
    )


def stakes_of(task: Any, figure: Figure, found: Contributions) -> Floats:
    """What each sample carries of the figure, by the task's own rule where it has one."""
    own = getattr(task, "stakes", None)
    if own is None:
        return np.full(len(found), figure.span / max(len(found), 1))
    stakes: Floats = own(figure.name, found)
    return stakes


def missing_of(task: Any, figure: Figure, found: Contributions) -> Floats:
    """What each sample could gain: what it carries times what its own figure lacks of a perfect
    one. Only for shares: no decibels are known to be missing.
    """
    stakes = stakes_of(task, figure, found)
    if not figure.is_share:
        return np.zeros(len(found))
    own = [own_figure(task, figure.name, found, at) for at in range(len(found))]
    best = figure.span if figure.higher_is_better else 0.0
    lacks = [0.0 if value is None else abs(best - value) / figure.span for value in own]
    return stakes * np.minimum(lacks, 1.0)


def _undefined(task: Any, figure: Figure, one: Contributions, other: Contributions) -> Loss:
    counts = np.ones(len(one), np.int64)
    reference, port = (figure_value(task, figure.name, side, counts) for side in (one, other))
    which = "the reference's" if reference is None else "the port's"
    doubt = (
        f"{which} {figure.name} is not defined for these {len(one)} samples, so there is no ground"
        f" for a verdict; {_LIKELY}"
    )
    return Loss(reference, port, None, None, None, None, None, doubt)


def _few(figure: Figure, samples: int) -> str:
    return (
        f"{figure.name} rests on single ones of these {samples} samples: without them it is not"
        " defined; give more samples"
    )


def _doubt(
    task: Any,
    figure: Figure,
    found: Contributions,
    spread: Resampled,
    *,
    reference: float,
    margin: float,
) -> str | None:
    """Why the reference is no ground for a verdict: it is not surely better than guessing, or so
    near to it that losing all would be within the margin.
    """
    own = getattr(task, "chance", None)
    chance = own(figure.name, found) if own else figure.chance
    if chance is None:
        return None
    sign = 1.0 if figure.higher_is_better else -1.0
    gain = sign * (reference - chance)
    error = spread.error(np.array([1.0, 0.0]))
    if gain <= NormalDist().inv_cdf(0.95) * error or not math.isfinite(gain):
        what = f"not above chance ({figure.text(chance)})" if sign > 0 else "not better than chance"
    elif gain <= margin:
        what = (
            f"so near to {figure.text(chance)}, what guessing reaches, that a loss of all would be"
            " within the margin"
        )
    else:
        return None
    return (
        f"the reference's {figure.name} of {figure.text(reference)} is {what}, so it is no ground"
        f" for a verdict; {_LIKELY}"
    )
