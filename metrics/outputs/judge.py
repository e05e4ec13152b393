"""The verdict on a port's outputs: its errors over those of the rounded reference, by sample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.outputs.distances import Distance
from portproof.verdict import Verdict

#: A port may lose so many times what the rounded reference loses: hardware that keeps sums in the
#: narrow type too loses up to about three times what rounding between operators does.
ALLOWED = 3.0
#: One sample, or one slice of an output, may lie so much further out: ratios of healthy ports
#: scatter by a factor of two or so from sample to sample.
OUTLIER = 4.0
#: Fewer samples say nothing about their scatter.
FEWEST = 3
#: Relative errors below the last bits of float32 are those of the reference itself.
RESOLUTION = 2.0**-21
#: The reference's outputs must differ between samples by so many times the ruler's error; else any
#: port passes, whatever it computes.
VARIES = 3.0
#: Axes with more slices are not looked at by slice: pixels are not separate answers.
_MOST_SLICES = 1024

Array = NDArray[Any]


@dataclass
class Errors:
    """Errors of one output over the samples of the ruler. ``port`` and ``ruler``: L2 by sample id;
    ``norm``: of the reference, whose sum over samples is ``total`` and whose summed squares are
    ``squares``. ``slices``: axis -> squared errors of port and ruler, and the
    reference's squares, by index of that axis, summed over samples.
    """

    port: dict[str, float] = field(default_factory=dict)
    ruler: dict[str, float] = field(default_factory=dict)
    norm: dict[str, float] = field(default_factory=dict)
    whole: bool = False
    total: Array | None = None
    squares: float = 0.0
    slices: dict[int, tuple[Array, Array, Array]] = field(default_factory=dict)

    def add(self, sample: str, port: Distance, ruler: Distance, reference: Array) -> None:
        """One sample's distances from the reference."""
        values = np.nan_to_num(reference.astype(np.float64).reshape(-1), posinf=0.0, neginf=0.0)
        self.port[sample], self.ruler[sample] = port.error, ruler.error
        self.norm[sample] = float(np.linalg.norm(values))
        self.total = values if self.total is None else self.total + values
        self.squares += float(values @ values)

    def hardly_varies(self) -> bool:
        """Whether the reference's outputs differ between samples by little more than rounding."""
        count = len(self.norm)
        if count < 2 or self.total is None or self.whole:
            return False
        mean = self.total / count
        spread = max(0.0, self.squares / count - float(mean @ mean))
        rounding = float(np.mean(np.square(list(self.ruler.values()))))
        return spread < VARIES**2 * rounding

    def add_slices(self, reference: Array, port: Array, rounded: Array) -> None:
        """One sample's squares by slice, of an output with several axes."""
        sizes = [n for n in reference.shape if n != 1]
        if len(sizes) < 2 or reference.dtype.kind != "f" or port.size != reference.size:
            return
        a, p, r = (x.astype(np.float64).reshape(sizes) for x in (reference, port, rounded))
        for axis, size in enumerate(sizes):
            if size > _MOST_SLICES:
                continue
            others = tuple(i for i in range(len(sizes)) if i != axis)
            sums = [np.nan_to_num(x * x).sum(axis=others) for x in (p - a, r - a, a)]
            if axis in self.slices:
                sums = [x + y for x, y in zip(sums, self.slices[axis], strict=True)]
            self.slices[axis] = (sums[0], sums[1], sums[2])

    def ratios(self) -> dict[str, float]:
        """Sample id -> the port's error over the ruler's."""
        return {
            sample: error / max(self.ruler[sample], self.floor(sample))
            for sample, error in self.port.items()
        }

    def floor(self, sample: str) -> float:
        """The least error that the ruler can be said to have for a sample."""
        return max(RESOLUTION * self.norm[sample], np.finfo(np.float64).tiny)


@dataclass(frozen=True)
class Judgement:
    """``ratio``: geometric mean of the port's errors over the ruler's; ``low`` and ``high`` bound
    it, each one-sided at 95 %, None with too few samples.
    """

    verdict: Verdict
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


def judge(errors: Errors) -> Judgement:
    """FAIL if the errors are surely over :data:`ALLOWED` times the ruler's, in the mean, in one
    sample or in one slice; PASS if they are surely under; else UNDECIDED.

    The mean is taken of logarithms, whose scatter over samples gives the interval (Student's t).
    """
    if errors.whole:
        return _judge_shares(errors)
    ratios = errors.ratios()
    mean, low, high = _interval(list(ratios.values()))
    far = _far_samples(ratios) or _far_slice(errors)
    if not far and errors.hardly_varies():
        words = "the reference's outputs differ between samples by little more than its rounding"
        return Judgement(
            Verdict.UNDECIDED,
            f"{words}: they prove nothing; are these trained weights and real samples?",
            *(mean, low, high),
        )
    verdict, reason = (Verdict.FAIL, far) if far else _by_interval(mean, low, high, len(ratios))
    return Judgement(verdict, reason, mean, low, high)


def _far_samples(ratios: dict[str, float]) -> str:
    """The sentence about samples that are far beyond the ruler; empty if none is."""
    far = [sample for sample, ratio in ratios.items() if ratio > OUTLIER * ALLOWED]
    if not far:
        return ""
    worst = max(far, key=lambda sample: ratios[sample])
    return (
        f"{len(far)} of {len(ratios)} samples are over {OUTLIER * ALLOWED:g} times the rounding of"
        f" the reference, '{worst}' {_times(ratios[worst])}"
    )


def _by_interval(
    mean: float, low: float | None, high: float | None, samples: int
) -> tuple[Verdict, str]:
    if low is None or high is None:
        return Verdict.UNDECIDED, f"{samples} samples are too few, {FEWEST} are needed at least"
    words = f"{mean:.2g} times the rounding of the reference (95 %: {low:.2g} to {high:.2g})"
    if high < ALLOWED:
        return Verdict.PASS, f"the error is {words}, {ALLOWED:g} times is allowed"
    if low > ALLOWED:
        return Verdict.FAIL, f"the error is {words}, more than the {ALLOWED:g} times allowed"
    return Verdict.UNDECIDED, f"the error is {words}, around the {ALLOWED:g} times allowed"


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times" if math.isfinite(ratio) else "infinitely many times"


def _interval(ratios: Sequence[float]) -> tuple[float, float | None, float | None]:
    if any(math.isinf(r) for r in ratios):
        return math.inf, math.inf, math.inf
    logs = np.log(np.maximum(ratios, 1e-6))
    mean = float(np.exp(logs.mean()))
    if len(logs) < FEWEST:
        return mean, None, None
    from scipy.stats import t

    half = float(t.ppf(0.95, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return mean, mean * math.exp(-half), mean * math.exp(half)


def _far_slice(errors: Errors) -> str:
    """The sentence about the slice that is furthest beyond the ruler; empty if none is far."""
    worst, sentence = OUTLIER * ALLOWED, ""
    for axis, (port, ruler, norm) in errors.slices.items():
        floor = (RESOLUTION**2) * np.maximum(norm, norm.mean())
        ratio = np.sqrt(port / np.maximum(np.maximum(ruler, floor), np.finfo(np.float64).tiny))
        at = int(ratio.argmax())
        if ratio[at] > worst:
            worst = float(ratio[at])
            sentence = (
                f"slice {at} of axis {axis} differs by {_times(worst)} the rounding of the"
                " reference there"
            )
    return sentence


def _judge_shares(errors: Errors) -> Judgement:
    """Whole numbers: the share that differs, minus what is allowed for the ruler's, by sample."""
    port, ruler = (np.array(list(x.values())) for x in (errors.port, errors.ruler))
    gap = port - ALLOWED * ruler
    words = f"{port.mean():.2%} of the numbers differ, {ruler.mean():.2%} by rounding the reference"
    if not port.any():
        return Judgement(Verdict.PASS, words, 0.0, 0.0, 0.0)
    if len(gap) < FEWEST:
        return Judgement(
            Verdict.UNDECIDED, f"{words}; {FEWEST} samples are needed", None, None, None
        )
    half = 1.645 * float(gap.std(ddof=1)) / math.sqrt(len(gap))
    low, high = float(gap.mean()) - half, float(gap.mean()) + half
    verdict = Verdict.PASS if high <= 0 else Verdict.FAIL if low > 0 else Verdict.UNDECIDED
    return Judgement(verdict, f"{words}; {ALLOWED:g} times as many are allowed")
