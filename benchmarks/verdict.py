"""How often are the verdicts wrong? Ports of known loss, judged by the product's own functions.

For every number of samples, true loss and rate of flips, experiments are drawn (multinomial counts
of samples that only the reference, only the port gets right) and judged. At a loss of exactly the
margin every PASS and every FAIL is wrong: 5 % each are claimed. Below it a FAIL is wrong, above it
a PASS. The two-sided 95 % interval should hold the true loss in 95 of 100.

Example: ``python benchmarks/verdict.py --experiments 20000 > benchmarks/results/verdict.md``
"""

from __future__ import annotations

import argparse
import itertools
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.metrics.paired.bounds import careful_bounds, judge_loss
from portproof.verdict import Verdict

SAMPLES = (200, 300, 500, 1000, 2000, 5000, 10000, 50000)
LOSSES = (0.0, 0.005, 0.01, 0.015, 0.02)
#: The share of samples that the port mends: what it breaks is that and the loss.
FIXED = (0.0, 0.001, 0.005, 0.02)
MARGIN = 0.01

#: Shares of experiments: PASS, FAIL, and those whose interval holds the truth.
Shares = tuple[float, float, float]


def shares(n: int, loss: float, fixed: float, experiments: int, seed: int) -> Shares:
    """Draw and judge experiments of one kind; equal tables are judged once."""
    chances = [fixed, fixed + loss, 1 - 2 * fixed - loss]
    drawn = np.random.default_rng(seed).multinomial(n, chances, size=experiments)
    tables, times = np.unique(drawn[:, :2], axis=0, return_counts=True)
    found = np.zeros(3)
    for (mended, broken), count in zip(tables.tolist(), times.tolist(), strict=True):
        verdict = judge_loss(mended, broken, n, MARGIN)
        low, high = careful_bounds(mended, broken, n, 0.975)
        judged = verdict is Verdict.PASS, verdict is Verdict.FAIL, low <= loss <= high
        found += np.multiply(judged, count)
    passed, failed, held = (found / experiments).tolist()
    return passed, failed, held


def main() -> None:
    """Judge every kind and print a table a number of samples."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--experiments", type=int, default=20000, help="of a kind (default 20000)")
    options.add_argument("--samples", type=int, nargs="+", default=SAMPLES)
    given = options.parse_args()
    print(
        f"# Error rates of the verdict\n\nMargin 1 point; {given.experiments} experiments a cell,"
        " so that a share of 5 % is known to 0.3 points (two standard errors). Written by"
        " `python benchmarks/verdict.py`. Rates of flips: the share of samples that the port mends;"
        " what it breaks is that and the loss.\n"
    )
    print("| samples | loss, points | mended | PASS | FAIL | the interval holds the loss |")
    print("|---|---|---|---|---|---|")
    wrong_pass, wrong_fail, coverage = [0.0], [0.0], [1.0]
    for seed, (n, loss, fixed) in enumerate(itertools.product(given.samples, LOSSES, FIXED)):
        passed, failed, held = shares(n, loss, fixed, given.experiments, seed)
        cells = [f"{100 * x:.2f} %" for x in (passed, failed, held)]
        print(f"| {n} | {100 * loss:g} | {100 * fixed:g} % | {' | '.join(cells)} |", flush=True)
        wrong_pass += [passed] if loss >= MARGIN else []
        wrong_fail += [failed] if loss <= MARGIN else []
        coverage += [held]
    print(
        f"\nAt worst: wrong PASS {100 * max(wrong_pass):.2f} %, wrong FAIL"
        f" {100 * max(wrong_fail):.2f} %, coverage {100 * min(coverage):.2f} %."
    )


if __name__ == "__main__":
    main()
