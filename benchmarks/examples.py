"""Every example, really run: each ported to the processor in four ways and rehearsed on 310P, what
ModelZoo asks for made of it, and its verdict tried with drops that were planted and with none.

``ports``: the verdict of each column by the example's own metric. ``planted``: the answers of so
many samples of a sound port are exchanged among each other, so that what it lost is known; a loss
far over the margin must be FAIL and never PASS. ``equal``: the reference against a sound port, and
both with as many exchanged samples of their own, so that neither is better; it must not be FAIL.

A run directory that has its report is not run again, but reported by this version; delete it to
run it again.

Example: ``python benchmarks/examples.py runs_of_examples --trials 3``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.card import read_card
from portproof.core import progress
from portproof.metrics.evaluation.origin import Decoding
from portproof.metrics.paired.by_task import Margin, compare_by_task
from portproof.proof.sidecar import sidecar_of
from portproof.rundir.examples import example_card, example_names
from portproof.rundir.layout import CLASSIFICATION, REFERENCE, PartDir, RunDir, Side, open_run
from portproof.rundir.parts.part_outputs import verdict_text

COLUMNS = ("cpu", "cpu_fp16", "cpu_int8", "openvino")
REHEARSED = "310p"
#: The share of samples whose answers are exchanged: several times the margin of one point.
PLANTED, EQUAL = 0.10, 0.02


def portproof(*words: object) -> subprocess.CompletedProcess[str]:
    """A command of this checkout."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PORTPROOF_PYTHON": sys.executable}
    command = [sys.executable, "-m", "portproof", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def targets(name: str) -> tuple[str, ...]:
    """The columns of an example: of several models the first, since each has a bench of its own."""
    return COLUMNS[:1] if read_card(example_card(name)).parts else COLUMNS


def ported(name: str, run: Path, *options: str) -> Path:
    """The run directory of an example, run if it has no report yet, else reported anew: another
    version may have written other words.
    """
    if (run / RunDir.report).is_file():
        portproof("report", run)
    else:
        done = portproof("port", "--example", name, "--run-dir", run, *options)
        if not (run / RunDir.report).is_file():
            sys.exit(f"{name}: the port made no report:\n{done.stderr[-2000:]}")
    return run


def columns(name: str, run: Path) -> Iterator[str]:
    """A row a column: what the task's comparison says, and the gates."""
    files = open_run(run)
    for side in files.compared:
        found = json.loads((run / files.comparison(side)).read_text())
        scale = 100 if found["unit"] == "1" else 1
        needed = found.get("samples_needed")
        word = found["verdict"] + (f" (about {needed} samples would decide)" if needed else "")
        mark = ", REHEARSAL" if files.settings.rehearse else ""
        yield (
            f"| {name} | {side.label}{mark} | {found['metric']} | {found['samples']} |"
            f" {scale * found['reference_value']:.2f} | {scale * found['port_value']:.2f} |"
            f" {scale * found['gate_bound']:.2f} | {word}{alone(files, side)} |"
        )


def alone(files: RunDir, side: Side) -> str:
    """What the outputs of each part of several models say."""
    said = [
        f"{part} {verdict_text(PartDir(files.root, files.settings, part), side).split(' ')[0]}"
        for part in files.settings.parts
    ]
    return f"; alone: {', '.join(said)}" if said else ""


def zoo(run: Path) -> str:
    """The level file in one line, and the last line of the self-test."""
    done = portproof("modelzoo", run)
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.strip()}"
    level = (run / "modelzoo/modelzoo_level.txt").read_text().split()
    test = subprocess.run(
        [shutil.which("bash") or "/bin/bash", run / "modelzoo/self_test.sh"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PORTPROOF_PYTHON": sys.executable},
        check=False,
    )
    title = (run / "modelzoo/README.md").read_text().split("\n# ", 1)[-1].splitlines()[0]
    return f"{title} | {', '.join(level)} | {test.stdout.splitlines()[-1]}"


def exchanged(result: Path, out: Path, share: float, rng: np.random.Generator) -> Path:
    """The results with the answers of a share of the samples handed to each other."""
    shutil.copytree(result, out)
    shutil.copy(sidecar_of(result), sidecar_of(out))
    ids = sorted({path.name.rpartition("_")[0] for path in result.glob("*_1.*")})
    chosen = rng.permutation(len(ids))[: max(2, round(share * len(ids)))]
    for to, of in zip(chosen, np.roll(chosen, 1), strict=True):
        for source in result.glob(f"{ids[of]}_*"):
            number = source.name[len(ids[of]) :]
            shutil.copy(source, out / f"{ids[to]}{number}")
    return out


def trials(name: str, run: Path, count: int) -> str:
    """How often an equal port and one with a planted drop got each verdict."""
    files = open_run(run)
    card = read_card(example_card(name))
    batch = files.accuracy_batch
    eager, port = (run / files.result(s, batch) for s in (Side(REFERENCE), files.compared[0]))
    counts: dict[str, dict[str, int]] = {"equal": {}, "planted": {}}
    losses = []
    for trial in range(count):
        rng = np.random.default_rng([trial, len(name)])
        with tempfile.TemporaryDirectory() as scratch:
            other = exchanged(eager, Path(scratch, "eager"), EQUAL, rng)
            same = exchanged(port, Path(scratch, "same"), EQUAL, rng)
            worse = exchanged(port, Path(scratch, "worse"), PLANTED, rng)
            for kind, pair in (("equal", (other, same)), ("planted", (eager, worse))):
                found = compare_by_task(
                    *pair, run / files.settings.labels, card.task, metric=card.metric,
                    margin=Margin(None, None, card.margin), decoding=Decoding(None, card),
                )  # fmt: skip
                word = found.verdict.value
                counts[kind][word] = counts[kind].get(word, 0) + 1
                if kind == "planted" and found.difference is not None:
                    losses.append(100 * found.difference)
    told = {kind: ", ".join(f"{n} {v}" for v, n in c.items()) for kind, c in counts.items()}
    drop = f"{np.mean(losses):+.1f} points" if losses else "-"
    return f"| {name} | {told['equal']} | {drop} | {told['planted']} |"


def tables(names: list[str], folder: Path, count: int) -> None:
    """Run and print everything."""
    one = {name: ported(name, folder / name, "--target", ",".join(targets(name)))
           for name in names}  # fmt: skip
    rehearsed = {
        name: ported(name, folder / f"{name}-REHEARSAL", "--target", REHEARSED, "--rehearse")
        for name in names
    }
    print("| example | column | metric | samples | reference | port | loss under | verdict |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        print(*columns(name, one[name]), *columns(name, rehearsed[name]), sep="\n", flush=True)
    print("\n| example | title of the README | modelzoo_level.txt | self-test |\n|---|---|---|---|")
    for name in names:
        for mark, run in (("", one[name]), (", REHEARSAL", rehearsed[name])):
            print(f"| {name}{mark} | {zoo(run)} |", flush=True)
    print("\n| example | equal ports | planted | with the planted drop |\n|---|---|---|---|")
    for name in names:
        print(trials(name, one[name], count), flush=True)


def main() -> int:
    """Run the examples and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="where the run directories are")
    parser.add_argument("--trials", type=int, default=3, help="of each kind (default 3)")
    parser.add_argument("--only", default="", help="examples whose name holds this text")
    options: Any = parser.parse_args()
    progress.configure(quiet=True)
    by_task = [n for n in example_names() if read_card(example_card(n)).task != CLASSIFICATION]
    names = [name for name in by_task if options.only in name]
    tables(names, options.folder.absolute(), options.trials)
    return 0


if __name__ == "__main__":
    sys.exit(main())
