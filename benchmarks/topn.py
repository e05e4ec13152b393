"""Time Top-n over many results against the least that must be done: both sides in turn, processor
time, ratio with spread.

For ``.bin`` the other side lists, opens and reads the files and nothing else; for ``.txt`` it is
the plain loop over lines and numbers that post-processing scripts use. ``library`` is the call
inside one process; ``command`` is ``python metrics/topn.py`` whole, interpreter start and imports
included, with ``result.json`` and its sidecar written. The files lie in a temporary folder and are
in the page cache.

Example: ``python benchmarks/topn.py --samples 50000 --rounds 5``
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.score import Reading
from portproof.metrics.accuracy.topn import topn


def make(folder: Path, samples: int, classes: int, text: bool) -> None:
    """Write results of random logits, and their label file beside the folder."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    with open(folder.with_suffix(".labels"), "w", encoding="ascii") as labels:
        for i in range(samples):
            logits = generator.standard_normal(classes, dtype=np.float32)
            name = f"ILSVRC2012_val_{i + 1:08d}"
            labels.write(f"{name}.JPEG {i % classes}\n")
            if text:
                (folder / f"{name}_1.txt").write_text(
                    "".join(f"{v:f} " for v in logits.tolist()) + "\n", encoding="ascii"
                )
            else:
                logits.tofile(folder / f"{name}_1.bin")


def read_only(folder: Path) -> None:
    """List, open and read every file."""
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            file.read()


def line_by_line(folder: Path) -> list[float]:
    """Top-1 to Top-5 by a loop over lines and numbers."""
    truth = read_labels(folder.with_suffix(".labels"))
    hits = [0] * 5
    for name in os.listdir(folder):
        with open(folder / name, encoding="ascii") as file:
            words = file.readline().strip().split(" ")
        logits = np.zeros(len(words), dtype=np.float32)
        for index, word in enumerate(words):
            logits[index] = np.float32(word)
        order = np.argsort(-logits)
        label = truth[name.rpartition("_")[0]]
        for rank in range(5):
            if order[rank] == label:
                hits[rank] += 1
                break
    return np.cumsum(hits).tolist()


def command(folder: Path) -> None:
    """The whole command in a process of its own."""
    out = folder.with_suffix(".json")
    for path in (out, out.with_name(out.name + ".proof.json")):
        path.unlink(missing_ok=True)
    arguments = [
        sys.executable,
        str(ROOT / "metrics/topn.py"),
        str(folder),
        str(folder.with_suffix(".labels")),
        "--out",
        str(out),
        "--quiet",
    ]
    # Modules are compiled once, as in any installation, whatever this shell says.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder.with_suffix(".pycache"))
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, env=environment)


def processor_seconds(work: Callable[[Path], object], folder: Path) -> float:
    """Processor time of this process and its children, user and system."""
    before = _used()
    work(folder)
    return _used() - before


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def compare(
    title: str, sides: dict[str, Callable[[Path], object]], folder: Path, rounds: int, invert: bool
) -> None:
    """Run all sides in turn, in alternating order, and print each one's time and its ratio to the
    first, paired by round.
    """
    for work in sides.values():
        work(folder)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        order = list(sides.items())
        for name, work in order if number % 2 == 0 else order[::-1]:
            times[name].append(processor_seconds(work, folder))
    first = next(iter(times))
    print(title)
    for name, seconds in times.items():
        ratios = [b / a if invert else a / b for a, b in zip(seconds, times[first], strict=True)]
        what = "times faster than" if invert else "times the processor time of"
        versus = (
            ""
            if name == first
            else (
                f"{statistics.median(ratios):6.2f} ({min(ratios):.2f}..{max(ratios):.2f}) {what}"
                f" {first}"
            )
        )
        print(
            f"  {name:14s} {statistics.median(seconds):7.3f} s"
            f" ({min(seconds):.3f}..{max(seconds):.3f})  {versus}"
        )


def main() -> None:
    """Make the data, time both formats, print the ratios."""
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    p.add_argument("--samples", type=int, default=50_000, help=".bin results (default: 50000)")
    p.add_argument("--text-samples", type=int, default=1_000, help=".txt results (default: 1000)")
    p.add_argument("--classes", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--folder", help="where to make the temporary folder (default: the system's)")
    options = p.parse_args()

    def library(folder: Path) -> list[int]:
        return topn(folder, folder.with_suffix(".labels"), Reading(classes=options.classes)).hits

    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        binary, text = Path(temporary, "bin"), Path(temporary, "txt")
        make(binary, options.samples, options.classes, text=False)
        make(text, options.text_samples, options.classes, text=True)
        assert library(text) == line_by_line(text)
        sides: dict[str, Callable[[Path], object]] = {
            "read only": read_only,
            "library": library,
            "command": command,
        }
        compare(
            f"{options.samples} .bin results of {options.classes} classes",
            sides,
            binary,
            options.rounds,
            invert=False,
        )
        sides = {"line by line": line_by_line, "library": library}
        compare(
            f"{options.text_samples} .txt results of {options.classes} classes",
            sides,
            text,
            options.rounds,
            invert=True,
        )


if __name__ == "__main__":
    main()
