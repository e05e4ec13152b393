"""Time reading many logs against reading their bytes, both sides in turn; and the memory that one
very long log takes.

``command`` is ``python metrics/throughput.py FOLDER --json`` whole, interpreter start and writing
included; ``bytes`` opens and reads the same files and nothing else. The logs are those of
``tests/data``, an ais_bench console, and a verbose trtexec log, copied under new names. The long
log is a trtexec run with the given MiB of verbose lines before its summary; its memory is the
command's own peak (``ru_maxrss``).

Example: ``python benchmarks/logs.py --files 10000 --rounds 3 --mebibytes 100``
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STAMP = "[06/15/2022-05:43:25]"
VERBOSE = (
    f"{STAMP} [V] [TRT] Tactic: 0x%016x Time: 0.0%d ms, scanning the next implementation of the"
    " node\n"
)
CONSOLE = """[INFO] try get model batchsize:16
\rInference array Processing: 100%|####| 4/4 [00:00<00:00,  1.3it/s]
[INFO] NPU_compute_time (ms): min = 3.9, max = 4.2, mean = 4.0, median = 4.0, percentile(99%) = 4.19
[INFO] throughput 1000*batchsize.mean(16)/NPU_compute_time.mean(4.0): 4000.0
"""
PEAK = (
    "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:],"
    " stdout=subprocess.DEVNULL).returncode;"
    " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
)


def verbose_log(lines: int) -> tuple[list[str], list[str], list[str]]:
    """A whole trtexec log in three parts: its banner, verbose lines, its summary."""
    whole = (
        (ROOT / "tests/data/regnety/t4/t4_bs1.log")
        .read_text(encoding="utf-8")
        .splitlines(keepends=True)
    )
    return whole[:1], [VERBOSE % (i, i % 97) for i in range(lines)], whole[1:]


def make_many(folder: Path, count: int) -> None:
    """Write ``count`` logs of several families."""
    texts = [
        p.read_bytes()
        for p in sorted((ROOT / "tests/data/regnety").rglob("*"))
        if p.suffix in (".txt", ".log") and p.name != "README.txt"
    ]
    texts += [CONSOLE.encode(), "".join(itertools.chain(*verbose_log(150))).encode()]
    for i, text in zip(range(count), itertools.cycle(texts), strict=False):
        (folder / f"run_{i:06}.log").write_bytes(text)


def make_long(path: Path, size: int) -> None:
    """Write one verbose trtexec log of about ``size`` bytes."""
    head, middle, tail = verbose_log(5000)
    block = "".join(middle)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(head)
        while file.tell() < size:
            file.write(block)
        file.writelines(tail)


def command(path: Path) -> list[str]:
    """The command that reads ``path``."""
    return [sys.executable, str(ROOT / "metrics/throughput.py"), str(path), "--json"]


def read_bytes(folder: Path) -> None:
    """Open and read every file of a folder."""
    for entry in os.scandir(folder):
        with open(entry.path, "rb") as file:
            file.read()


def processor_seconds() -> float:
    """Processor time of this process and its finished children."""
    return sum(
        u.ru_utime + u.ru_stime
        for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def time_many(folder: Path, rounds: int) -> None:
    """Both sides in turn; prints wall and processor seconds, and the ratio with its spread over the
    rounds.
    """
    wall, used, ratios = [], [], []
    for _ in range(rounds):
        before = processor_seconds()
        read_bytes(folder)
        least = processor_seconds() - before
        began, before = time.perf_counter(), processor_seconds()
        subprocess.run(command(folder), stdout=subprocess.DEVNULL, check=True)
        wall.append(time.perf_counter() - began)
        used.append(processor_seconds() - before)
        ratios.append(used[-1] / least)
    print(
        f"command: {statistics.median(wall):.2f} s wall ({min(wall):.2f} to {max(wall):.2f}),"
        f" {statistics.median(used):.2f} s processor"
    )
    print(
        f"command / bytes, processor time: {statistics.median(ratios):.1f} ({min(ratios):.1f} to"
        f" {max(ratios):.1f})"
    )


def main() -> None:
    """Make the logs, measure, print."""
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--files", type=int, default=10000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--mebibytes", type=int, default=100)
    options = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder, long = Path(scratch, "many"), Path(scratch, "long.log")
        folder.mkdir()
        make_many(folder, options.files)
        print(
            f"{options.files} logs, {sum(p.stat().st_size for p in folder.iterdir()) / 2**20:.1f}"
            f" MiB, {os.cpu_count()} processors"
        )
        time_many(folder, options.rounds)
        make_long(long, options.mebibytes << 20)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", PEAK, *command(long)], capture_output=True, text=True, check=True
        )
        peak, took = int(done.stdout) / 1024, time.perf_counter() - began
        print(
            f"one log of {long.stat().st_size / 2**20:.0f} MiB: {took:.1f} s, peak {peak:.0f} MiB"
        )


if __name__ == "__main__":
    main()
