"""Intervals of task figures, shown by simulation: how often they hold, and how often a verdict at
the margin is wrong.

Samples are drawn from populations whose true loss is known (from a sample of a million, or of
100,000 images and more). Of each draw the port is compared with its reference as ``compare --task``
does it. The table shows how often the two-sided 95 % interval holds the true loss, and, with the
margin set to that loss, how often the verdict is PASS or FAIL: both are wrong at most in 5 of 100
draws if the bounds hold.

Example: ``python benchmarks/task_intervals.py --draws 1000``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.core import progress
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.paired.losses import Loss, loss_of
from portproof.metrics.tasks import Figure, detection

Random = np.random.Generator
Pair = tuple[Contributions, Contributions]


@dataclass(frozen=True)
class Population:
    """What samples are drawn from. ``large``: how many give the true loss."""

    name: str
    task: Any
    figure: Figure
    draw: Callable[[Random, int], Pair]
    large: int = 1_000_000

    def true_loss(self) -> float:
        """The loss of the population, by a large sample."""
        sides = self.draw(np.random.default_rng(1), self.large)
        counts = np.ones(self.large, np.int64)
        one, other = (self.task.figures(side, counts)[self.figure.name] for side in sides)
        return float((one - other) * (1 if self.figure.higher_is_better else -1))

    def loss(self, r: Random, n: int) -> Loss:
        """A draw, compared. The margin is not used."""
        return loss_of(self.task, self.figure, *self.draw(r, n), 0.0)


def columns(n: int, **values: Any) -> Contributions:
    """Contributions of plain numbers, or of one row a sample."""
    names = tuple(map(str, range(n)))
    return Contributions(names, values, {k: np.full(n, -1) for k in values})


# --- means: a share (exact match) and decibels


def mean_task(stake: float | None = None) -> Any:
    """The mean of a value a sample."""

    def figures(found: Contributions, counts: Any) -> dict[str, float | None]:
        return {"mean": float(found.rows("x") @ counts / counts.sum())}

    task = SimpleNamespace(figures=figures)
    if stake is not None:
        task.stakes = lambda name, found: found.rows("x") / len(found) * stake
    return task


def shares(broken: float, fixed: float) -> Callable[[Random, int], Pair]:
    """Right or wrong, with flips both ways."""

    def draw(r: Random, n: int) -> Pair:
        right = r.random(n) < 0.8
        flip = r.random(n) < np.where(right, broken / 0.8, fixed / 0.2)
        return columns(n, x=right.astype(float)), columns(n, x=(right ^ flip).astype(float))

    return draw


def decibels(broken: float) -> Callable[[Random, int], Pair]:
    """PSNR: everything a little worse, a few samples much worse."""

    def draw(r: Random, n: int) -> Pair:
        value = r.normal(30, 4, n)
        port = value - r.exponential(0.05, n) - np.where(r.random(n) < broken, value - 8, 0.0)
        return columns(n, x=value), columns(n, x=port)

    return draw


# --- ratios of sums: word error rate


def ratio_figures(found: Contributions, counts: Any) -> dict[str, float | None]:
    """Errors over words."""
    return {"WER": float(found.rows("errors") @ counts / (found.rows("words") @ counts))}


def ratio_stakes(name: str, found: Contributions) -> Any:
    """The words of a sentence over all words."""
    return found.rows("words") / found.rows("words").sum()


def words(share: float, broken: float) -> Callable[[Random, int], Pair]:
    """Sentences of very different length; the port hears some words differently, and a few
    sentences not at all, longer ones more often.
    """

    def draw(r: Random, n: int) -> Pair:
        length = 1 + r.negative_binomial(1.5, 0.1, n)
        errors = r.binomial(length, r.beta(0.5, 6, n))
        fewer, more = r.binomial(errors, share / 2), r.binomial(length - errors, share)
        port = errors - fewer + more
        lost = r.random(n) < broken * length / 14.5
        port = np.where(lost, length, port)
        common = {"words": length.astype(float)}
        return (
            columns(n, errors=errors.astype(float), **common),
            columns(n, errors=port.astype(float), **common),
        )

    return draw


# --- means over classes of ratios: mIoU


def overlap_figures(found: Contributions, counts: Any) -> dict[str, float | None]:
    """Intersection over union, a class at a time, then the mean."""
    shared, union = counts @ found.rows("shared"), counts @ found.rows("union")
    known = union > 0
    return {"mIoU": float(np.mean(shared[known] / union[known])) if known.any() else None}


def overlap_stakes(name: str, found: Contributions) -> Any:
    """A sample's pixels of a class over all of that class, over the classes."""
    pixels = found.rows("pixels")
    total = pixels.sum(axis=0)
    return (pixels[:, total > 0] / total[total > 0]).mean(axis=1)


def areas(classes: int, worse: float, broken: float) -> Callable[[Random, int], Pair]:
    """Images that hold some of the classes, rare ones seldom."""

    def draw(r: Random, n: int) -> Pair:
        often = 0.9 / np.arange(1, classes + 1) ** 0.7
        pixels = np.where(r.random((n, classes)) < often, r.gamma(0.8, 1000, (n, classes)), 0.0)
        extra = pixels.mean(axis=1, keepdims=True) * r.random((n, classes)) * 0.1
        good = r.beta(8, 2, (n, classes))
        sides = []
        lost = (r.random(n) < broken)[:, None]
        for quality in (good, np.where(lost, 0.0, good * (1 - worse * r.random((n, classes))))):
            common = {"pixels": pixels, "union": pixels + extra}
            sides.append(columns(n, shared=pixels * quality, **common))
        return sides[0], sides[1]

    return draw


# --- average precision


def boxes(
    classes: int, moved: float, broken: float, recalls: Any = 0.75
) -> Callable[[Random, int], Pair]:
    """Objects of some classes, found with a score or not, and false detections; the port moves all
    scores a little and loses a few images. ``recalls``: of the classes. (Average precision jumps
    where a class reaches another of COCO's 101 levels; when all classes lie at one, so does their
    mean.)
    """

    def draw(r: Random, n: int) -> Pair:
        often = 1.0 / np.arange(1, classes + 1)
        objects = r.poisson(3 * often / often.sum(), (n, classes))
        hit = r.binomial(objects, recalls)
        false = r.poisson(1.5 / classes, (n, classes))
        lost = r.random(n) < broken
        owner = np.concatenate([np.repeat(np.arange(n), k.sum(axis=1)) for k in (hit, false)])
        label = np.concatenate(
            [np.repeat(np.tile(np.arange(classes), n), k.reshape(-1)) for k in (hit, false)]
        )
        is_right = np.arange(len(owner)) < hit.sum()
        score = np.where(is_right, r.beta(4, 2, len(owner)), r.beta(2, 4, len(owner)))
        order = np.lexsort((label, owner))
        found = {"owner": owner, "label": label, "right": is_right, "score": score}
        found = {name: column[order] for name, column in found.items()}
        noisy = found | {"score": found["score"] + r.normal(0, moved, len(score))}
        still = ~lost[found["owner"]] | ~found["right"]
        holds = np.argwhere(objects > 0)
        truth = {"truth_category": holds[:, 1], "truth_count": objects[objects > 0][:, None]}
        one = _side(n, found, np.ones(len(score), bool), holds, truth)
        return one, _side(n, noisy, still, holds, truth)

    return draw


def _side(
    n: int, found: dict[str, Any], kept: Any, holds: Any, truth: dict[str, Any]
) -> Contributions:
    """The contributions of one side, of the detections that are kept."""
    found = {name: column[kept] for name, column in found.items()}
    rows = len(found["score"])
    values = {
        "score": found["score"],
        "category": found["label"],
        "rank": np.zeros(rows, np.int64),
        "matches": found["right"].astype(np.uint16)[:, None],
        "ignored": np.zeros((rows, 1), np.uint16),
        **truth,
    }
    lengths = {
        k: np.bincount(holds[:, 0] if k in truth else found["owner"], minlength=n) for k in values
    }
    return Contributions(tuple(map(str, range(n))), values, lengths)


def precision_task() -> Any:
    """AP at IoU 0.5, as the task detection computes it."""
    return SimpleNamespace(
        figure=detection.figure,
        stakes=detection.stakes,
        figures=lambda found, counts: {"AP50": detection.figure("AP50", found, counts)},
    )


AP50 = Figure("AP50", chance=None)
MIOU = Figure("mIoU")
WER = Figure("WER", higher_is_better=False)
SHARE, DB = Figure("mean"), Figure("mean", "dB", span=30.0)


def ratio_task() -> Any:
    """Word error rate."""
    return SimpleNamespace(figures=ratio_figures, stakes=ratio_stakes)


def overlap_task() -> Any:
    """mIoU."""
    return SimpleNamespace(figures=overlap_figures, stakes=overlap_stakes)


RECALLS = 0.62 + 0.3 * (0.618 * np.arange(1, 11) % 1)
POPULATIONS = (
    Population("exact match, few flips", mean_task(), SHARE, shares(0.012, 0.004)),
    Population("exact match, many flips", mean_task(), SHARE, shares(0.06, 0.03)),
    Population("PSNR, all a little worse", mean_task(1.0), DB, decibels(0.0)),
    Population("PSNR, 1 % of samples broken", mean_task(1.0), DB, decibels(0.01)),
    Population("WER, words differ", ratio_task(), WER, words(0.02, 0.0)),
    Population("WER, 1 % of sentences lost", ratio_task(), WER, words(0.005, 0.01)),
    Population("mIoU of 4 classes", overlap_task(), MIOU, areas(4, 0.05, 0.0), 200_000),
    Population(
        "mIoU of 20 classes, 1 % broken", overlap_task(), MIOU, areas(20, 0.02, 0.01), 100_000
    ),
    Population("AP of 1 class, scores move", precision_task(), AP50, boxes(1, 0.05, 0.0), 100_000),
    Population(
        "AP of 3 classes, 1 % broken", precision_task(), AP50, boxes(3, 0.01, 0.01), 100_000
    ),
    Population("AP of 3 classes, scores move", precision_task(), AP50, boxes(3, 0.1, 0.0), 100_000),
    Population(
        "AP of 10 classes, 3 % broken",
        precision_task(),
        AP50,
        boxes(10, 0.03, 0.03, RECALLS),
        100_000,
    ),
)


def row(population: Population, n: int, draws: int, true: float) -> str:
    """A line of the table."""
    points = 1.0 if population.figure.unit == "dB" else 100.0
    r = np.random.default_rng([n, len(population.name)])
    found = [population.loss(r, n) for _ in range(draws)]
    known = [x for x in found if x.upper is not None]
    holds = np.mean([x.low <= true <= x.high for x in known])  # type: ignore[operator]
    passes = np.mean([x.upper < true for x in known])  # type: ignore[operator]
    fails = np.mean([x.lower > true for x in known])  # type: ignore[operator]
    width = points * np.median([x.upper - x.value for x in known])  # type: ignore[operator]
    return (
        f"| {population.name} | {n} | {points * true:.3f} | {width:.2f} | {100 * holds:.1f} |"
        f" {100 * passes:.1f} | {100 * fails:.1f} | {len(found) - len(known)} |"
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--draws", type=int, default=1000, help="a row (default 1000)")
    parser.add_argument("--only", default="", help="populations whose name holds this")
    parser.add_argument("--samples", type=int, nargs="+", default=[50, 200, 1000])
    options = parser.parse_args()
    progress.configure(quiet=True)
    print("| population | samples | true loss | bound is over the estimate by | interval holds, % |"
          " wrong PASS, % | wrong FAIL, % | not defined |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    for population in POPULATIONS:
        if options.only not in population.name:
            continue
        true = population.true_loss()
        for n in options.samples:
            print(row(population, n, options.draws, true), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
