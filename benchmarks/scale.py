"""Time and memory of ``topn`` and ``compare`` against the number of samples.

Packed results of 10 classes, in the order of the label file and in another one: the whole commands,
each in a process of its own, which write their files (``result.json``, the table of outcomes, the
comparison, their sidecars). Seconds and bytes a sample are also given of each size over the one
before it: on a straight line they stay the same. Memory is the largest resident set of the process.

Then 50,000 results of 1000 classes as files, in turn with the least that must be done, in processor
time: list, open and read the files, without and with their SHA-256, which the sidecar needs.

Example: ``python benchmarks/scale.py --largest 10000000 --out benchmarks/results/scale.md``
"""

from __future__ import annotations

import argparse
import datetime
import functools
import hashlib
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.packed.npy import npy_header

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
#: Larger ones are read in the order of the label file only.
LARGEST_SHUFFLED = 1_000_000
CLASSES, FILES, FILE_CLASSES = 10, 50_000, 1000
_AT_ONCE = 100_000


@dataclass(frozen=True)
class Run:
    """What one command took: wall and processor seconds, and bytes of its largest resident set."""

    wall: float
    processor: float
    memory: int


def run(*arguments: object) -> Run:
    """Run a command to its end. UNDECIDED and FAIL are ends too."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments), "--quiet"], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 4):
        raise SystemExit(f"{arguments[0]} ended with {process.returncode}")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def make_packs(folder: Path, samples: int, is_shuffled: bool) -> None:
    """A label file, and packed results of a reference and a port of it. Little is in memory at a
    time: a process that is started begins with the largest resident set of its parent.
    """
    generator = np.random.default_rng(0)
    header = npy_header((samples, CLASSES), np.dtype("<f4"))
    for side in ("reference", "port"):
        (folder / side).mkdir(parents=True)
    # A walk with a step that shares no divisor with the number meets every sample once.
    step = next(s for s in range(samples // 3 | 1, samples, 2) if np.gcd(s, samples) == 1)
    with (
        open(folder / "labels.txt", "w", encoding="ascii") as labels,
        open(folder / "reference/ids.txt", "w", encoding="ascii") as ids,
        open(folder / "reference/output1.npy", "wb") as reference,
        open(folder / "port/output1.npy", "wb") as port,
    ):
        reference.write(header)
        port.write(header)
        for first in range(0, samples, _AT_ONCE):
            numbers = np.arange(first, min(first + _AT_ONCE, samples))
            rows = generator.standard_normal((len(numbers), CLASSES), dtype=np.float32)
            truth = numbers * step % samples if is_shuffled else numbers
            rows[np.arange(len(rows)), truth % CLASSES] += 2
            reference.write(rows.data)
            rows += 0.1 * generator.standard_normal(rows.shape, dtype=np.float32)
            port.write(rows.data)
            ids.writelines(f"ILSVRC2012_val_{i + 1:08d}\n" for i in truth.tolist())
            labels.writelines(
                f"ILSVRC2012_val_{i + 1:08d}.JPEG {i % CLASSES}\n" for i in numbers.tolist()
            )
    shutil.copy(folder / "reference/ids.txt", folder / "port/ids.txt")


def packed_rows(folder: Path, largest: int) -> Iterator[str]:
    """Rows of the table of packed results."""
    last: dict[tuple[bool, str], tuple[int, Run]] = {}
    for samples in (size for size in SIZES if size <= largest):
        for is_shuffled in (False, True)[: 1 + (samples <= LARGEST_SHUFFLED)]:
            case = folder / f"{samples}{is_shuffled}"
            make_packs(case, samples, is_shuffled)
            runs = {
                "topn": run(
                    ROOT / "metrics/topn.py", case / "port", case / "labels.txt", "--out",
                    case / "result.json", "--outcomes", case / "outcomes.csv",
                ),
                "compare": run(
                    ROOT / "metrics/compare.py", case / "reference", case / "port",
                    case / "labels.txt", "--out", case / "compare.json",
                ),
                "compare of tables": run(
                    ROOT / "metrics/compare.py", case / "reference", case / "outcomes.csv",
                    case / "labels.txt", "--out", case / "compare2.json",
                ),
            }  # fmt: skip
            shutil.rmtree(case)
            for name, found in runs.items():
                slope = _slope(samples, found, last.get((is_shuffled, name)))
                last[is_shuffled, name] = samples, found
                yield (
                    f"| {samples:,} | {'another' if is_shuffled else 'labels'} | {name}"
                    f" | {found.wall:.2f} | {found.processor:.2f} | {found.memory / 2**20:.0f}"
                    f" | {slope} |"
                )


def _slope(samples: int, found: Run, before: tuple[int, Run] | None) -> str:
    """Microseconds of processor time and bytes for each sample more than the size before."""
    if before is None:
        return "- | -"
    more, less = samples - before[0], before[1]
    return (
        f"{1e6 * (found.processor - less.processor) / more:.2f}"
        f" | {(found.memory - less.memory) / more:.0f}"
    )


@dataclass
class Side:
    """One way to go over the files, with its processor seconds of each round."""

    name: str
    work: Callable[[], object]
    seconds: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """One round."""
        before = _used()
        self.work()
        self.seconds.append(_used() - before)


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def make_files(folder: Path) -> None:
    """Result files of random logits, and their label file."""
    generator = np.random.default_rng(0)
    (folder / "result").mkdir()
    with open(folder / "labels.txt", "w", encoding="ascii") as labels:
        for i in range(FILES):
            name = f"ILSVRC2012_val_{i + 1:08d}"
            labels.write(f"{name}.JPEG {i % FILE_CLASSES}\n")
            row = generator.standard_normal(FILE_CLASSES, dtype=np.float32)
            row.tofile(folder / "result" / f"{name}_1.bin")


def read_files(folder: Path, is_hashed: bool) -> None:
    """List, open and read every file, and hash what was read."""
    digest = hashlib.sha256()
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            content = file.read()
        if is_hashed:
            digest.update(content)


def topn_of(folder: Path, *more: object) -> None:
    """The whole command, afresh."""
    for path in folder.glob("result.json*"):
        path.unlink()
    run(ROOT / "metrics/topn.py", folder / "result", folder / "labels.txt", *more)


def file_rows(folder: Path, rounds: int) -> Iterator[str]:
    """Rows of the table of result files: all sides in every round, in alternating order."""
    make_files(folder)
    read = functools.partial(read_files, folder / "result")
    sides = [
        Side("bare reading", functools.partial(read, False)),
        Side("bare reading and SHA-256", functools.partial(read, True)),
        Side("topn, figures only", functools.partial(topn_of, folder)),
        Side("topn --out", functools.partial(topn_of, folder, "--out", folder / "result.json")),
    ]
    for number in range(rounds + 1):
        for side in sides[:: -1 if number % 2 else 1]:
            side.measure()
    for side in sides:
        del side.seconds[0]  # of a cold cache
    for side in sides:
        yield (
            f"| {side.name} | {statistics.median(side.seconds):.3f}"
            f" | {_ratio(side, sides[0])} | {_ratio(side, sides[1])} |"
        )


def _ratio(of: Side, over: Side) -> str:
    ratios = [a / b for a, b in zip(of.seconds, over.seconds, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"


def page(largest: int, rounds: int) -> Iterator[str]:
    """The lines of the page."""
    yield f"# `topn` and `compare` against the number of samples, {os.cpu_count()} processors\n"
    yield (
        f"`python benchmarks/scale.py --largest {largest} --rounds {rounds}`,"
        f" {datetime.date.today()}. {platform.machine()}, {platform.system()}"
        f" {platform.release()}, Python {platform.python_version()}, numpy {np.__version__}, load"
        f" {os.getloadavg()[0]:.1f} at the beginning.\n"
    )
    yield f"Packed results of {CLASSES} classes in float32. The whole commands, files written.\n"
    yield (
        "| samples | order | command | seconds | processor s | MiB | µs/sample more"
        " | bytes/sample more |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name:
        yield from packed_rows(Path(name), largest)
    yield (
        f"\n{FILES:,} results of {FILE_CLASSES} classes as files, in processor seconds;"
        f" {rounds} rounds in turn, medians with the range of the ratios.\n"
    )
    yield "| side | processor s | x bare reading | x bare reading and SHA-256 |"
    yield "|---|---|---|---|"
    with tempfile.TemporaryDirectory() as name:
        yield from file_rows(Path(name), rounds)
    yield f"\nLoad at the end: {os.getloadavg()[0]:.1f}."


def main() -> None:
    """Measure, print, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--largest", type=int, default=1_000_000, help="packed samples at most")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", metavar="FILE", help="write the page here too")
    options = parser.parse_args()
    lines = []
    for line in page(options.largest, options.rounds):
        print(line, flush=True)
        lines.append(line)
    if options.out:
        Path(options.out).write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
