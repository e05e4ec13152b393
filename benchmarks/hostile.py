"""Damaged and hostile files through every reader, as fast as they can be made.

Each input is a good file of one kind, changed in one to three of the ways of
``hostile_mutations.py``, and read by the code that the commands read it with, under the same last
resort that turns errors into exit codes. Counted are: read, refused (one sentence, exit code 2 or
3), and what must not happen: an internal error (exit code 70), a sentence of several lines, or more
than 5 s for one input. The inputs of a seed are always the same.

Example: ``python benchmarks/hostile.py --count 1000000 --workers 2``
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[0:0] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from hostile_mutations import MUTATIONS
from hostile_readers import KINDS, Kind

from portproof.core.errors import EXIT_INTERNAL, exit_code_of

#: Seconds that one input may take.
LIMIT_S = 5


@dataclass(frozen=True)
class Outcome:
    """What became of one input. ``problem`` is empty if it was read or refused as it should be."""

    code: int
    said: str
    problem: str


class TooLong(Exception):
    """One input took longer than the limit."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise :class:`TooLong` inside the block after the limit; waiting counts, as for a pipe."""

    def stop(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome_of(read: Callable[[Path], object], path: Path) -> Outcome:
    """Read a file as a command would, with its last resort."""
    said = io.StringIO()

    def main() -> int:
        read(path)
        return 0

    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(io.StringIO()),
            limited(),
        ):
            warnings.simplefilter("ignore")
            code = exit_code_of(main)
    except TooLong:
        return Outcome(EXIT_INTERNAL, said.getvalue(), f"took over {LIMIT_S} s")
    sentences = [s for s in said.getvalue().splitlines() if s.startswith("portproof: error: ")]
    if code == EXIT_INTERNAL:
        return Outcome(code, said.getvalue(), sentences[-1])
    if code and len(sentences) != 1:
        return Outcome(code, said.getvalue(), f"{len(sentences)} error sentences")
    return Outcome(code, said.getvalue(), "")


def put(kind: Kind, folder: Path, data: bytes) -> Path:
    """Write the files of a kind into a new folder, ``data`` as the one that is tried."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kind.prepare(folder)
    path = folder / kind.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def attack(kind: Kind, names: list[str], rng: random.Random, folder: Path) -> Outcome:
    """Change a good file in these ways, one after the other, and read it."""
    data = kind.good
    for name in names:
        data = MUTATIONS[name](data, rng)[:4_000_000]
    return outcome_of(kind.read, put(kind, folder, data))


def share(job: tuple[int, int, int, list[str]]) -> tuple[Counter[str], list[str]]:
    """One process's part of the inputs: counts by kind and result, and a line a problem."""
    seed, first, count, chosen = job
    counts: Counter[str] = Counter()
    problems: list[str] = []
    # In memory where that can be: a folder of its own name is made there.
    memory = "/dev/shm"  # nosec B108
    shared_memory = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared_memory) as scratch:
        for number in range(first, first + count):
            rng = random.Random(f"{seed} {number}")  # nosec B311
            kind = KINDS[chosen[number % len(chosen)]]
            names = [rng.choice(list(MUTATIONS)) for _ in range(rng.choice((1, 1, 2, 3)))]
            found = attack(kind, names, rng, Path(scratch, "input"))
            state = "problem" if found.problem else "refused" if found.code else "read"
            counts[f"{kind.label}\t{state}"] += 1
            if found.problem:
                problems.append(f"{number} {kind.label} ({', '.join(names)}): {found.problem}")
    return counts, problems


def main() -> int:
    """Try the inputs, and print a row a kind."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000, help="inputs (default 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", nargs="+", choices=sorted(KINDS), help="kinds of files")
    options = parser.parse_args()
    chosen, step = options.only or sorted(KINDS), 500
    jobs = [
        (options.seed, first, min(step, options.count - first), chosen)
        for first in range(0, options.count, step)
    ]
    start, counts, problems = time.monotonic(), Counter[str](), list[str]()
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        for done, (more, wrong) in enumerate(pool.imap_unordered(share, jobs), start=1):
            counts += more
            problems += wrong
            print(f"\r{done * step:,} of {options.count:,}", end="", file=sys.stderr, flush=True)
    print(f"\n{options.count:,} inputs in {time.monotonic() - start:.0f} s", file=sys.stderr)
    print("| kind of file | read | refused | problems |\n|---|---|---|---|")
    for label in chosen:
        row = [counts[f"{label}\t{state}"] for state in ("read", "refused", "problem")]
        print(f"| {label} | {row[0]:,} | {row[1]:,} | {row[2]:,} |")
    print(*problems[:100], sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
