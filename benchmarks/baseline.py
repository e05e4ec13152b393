"""Does a baseline call what did not change, and find what did? Real runs, one after the other.

``same``: the same port again, against a baseline of its first run: its speed must not FAIL.
``slower``: the model with 3 % more work. Lost accuracy needs no clock: of 2,000 samples, ten that
were right are not any more (half a point), drawn anew each time; and none.

Every trial is a line of ``--out``. A trial during which others used more than 5 % of the
processor is shown apart. Example: ``python benchmarks/baseline.py --trials 20 --out trials.jsonl``
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")
sys.path.insert(1, str(ROOT / "benchmarks"))

from fidelity import CARD, LOADED, save_chain

from portproof.core import progress
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.measurement import Performance
from portproof.metrics.paired.compare import compare
from portproof.outcome import Outcomes, write_outcomes
from portproof.reports.over_time.against import speed_since, verdict_since

SAMPLES, LOST, CLASSES = 2000, 10, 10
#: Layers of equal cost, and 3 % more.
LAYERS, MORE = 67, 2


def run(model: str, starts: int) -> Performance:
    """A port and its reference, timed as a port does with ``--starts``."""
    sides = [f"port=ort:{model}", "eager=ort:chain.onnx"]
    return bench(sides, [1], card="card.yaml", threads=1, plan=Plan(blocks=starts, starts=starts))


def timed(kind: str, model: str, then: Performance, starts: int) -> dict[str, Any]:
    """A later run, and what is said of its speed."""
    now = run(model, starts)
    found = speed_since(then, now, "port", 1, "call")
    assert found is not None
    loads = [m.counters.get("other_cpu_fraction") or 0.0 for m in now.measurements]
    verdict = verdict_since(*found.interval)
    return {
        "kind": kind,
        "ratio": found.ratio,
        "interval": found.interval,
        "verdict": verdict,
        "other_cpu": max(loads),
    }


def outcomes(seed: int, lost: int) -> Outcomes:
    """The outcomes of a reference with 80 % right, and of a port that lost some of these."""
    label = np.random.default_rng(0).integers(0, CLASSES, SAMPLES)
    rank = np.where(np.random.default_rng(1).random(SAMPLES) < 0.8, 1, 2)
    broken = np.random.default_rng(seed).choice(np.flatnonzero(rank == 1), lost, replace=False)
    rank[broken] = 2
    predicted = np.where(rank == 1, label, (label + 1) % CLASSES)
    ids = tuple(f"s{i:04}" for i in range(SAMPLES))
    return Outcomes(ids, label, predicted, rank, np.where(rank == 1, 1.0, -1.0))


def lost(kind: str, count: int, seed: int) -> dict[str, Any]:
    """A run whose samples went another way, and what is said of it."""
    before, now, labels = Path("before.csv"), Path("now.csv"), Path("labels.txt")
    one = outcomes(0, 0)
    write_outcomes(before, one)
    write_outcomes(now, outcomes(seed, count))
    labels.write_text("".join(f"{i}.JPEG {c}\n" for i, c in zip(one.ids, one.label, strict=True)))
    found = compare(before, now, labels, 1.0)
    verdict = "FAIL" if found.loss_lower_bound_pp > 0 else found.verdict
    return {"kind": kind, "ratio": found.difference_pp, "verdict": verdict, "other_cpu": 0.0}


def table(trials: list[dict[str, Any]]) -> str:
    """What the trials say."""
    lines = ["| trial | machine | n | FAIL | UNDECIDED | PASS | extremes |", "|" + "---|" * 7]
    for kind in dict.fromkeys(t["kind"] for t in trials):
        for load in ("quiet", "loaded"):
            mine = [
                t
                for t in trials
                if t["kind"] == kind and (t["other_cpu"] > LOADED) == (load == "loaded")
            ]
            if mine:
                counts = Counter(str(t["verdict"]) for t in mine)
                ratios = [t["ratio"] for t in mine]
                cells = [kind, load, len(mine), *(counts[v] for v in ("FAIL", "UNDECIDED", "PASS"))]
                ends = f"{min(ratios):+.3f} to {max(ratios):+.3f}"
                lines.append(f"| {' | '.join(map(str, [*cells, ends]))} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is asked for, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    out = options.out.absolute()
    progress.configure(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("card.yaml").write_text(CARD, encoding="utf-8")
        save_chain(Path("chain.onnx"), 0, LAYERS)
        save_chain(Path("more.onnx"), MORE, LAYERS)
        then = run("chain.onnx", options.starts)
        with out.open("a") as lines:
            for seed in range(1, options.trials + 1):
                for found in (
                    timed("same", "chain.onnx", then, options.starts),
                    timed("slower", "more.onnx", then, options.starts),
                    lost("half a point lost", LOST, seed),
                    lost("nothing lost", 0, seed),
                ):
                    lines.write(json.dumps(found) + "\n")
                    lines.flush()
    print(table([json.loads(line) for line in out.read_text().splitlines()]))


if __name__ == "__main__":
    main()
