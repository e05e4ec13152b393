"""Measure the measuring: what our own loops cost, and how far from 1 the ratio of a model over
itself comes out.

``call``: seconds that the clock adds to a call of the backend ``null``, over calling the session in
a bare loop. ``offline``: samples per second of ``infer/run.py``'s loop with ``null`` (read, hash,
answer zeros, write, journal) over reading the same files and writing the same results without any
of that; both sides in turn, in a temporary folder. ``a/a``: benches of one ONNX file against
itself: the ratio should be 1, and its 95 % interval should cover 1 in about 95 of 100.

Example: ``python benchmarks/harness.py --trials 10``
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.backend import LoadRequest
from portproof.core import progress
from portproof.infer.backends import null
from portproof.infer.offline.inference import run
from portproof.infer.timing.job import bench
from portproof.infer.timing.processes.clock import time_calls
from portproof.infer.timing.protocol import Plan

CARD = """\
name: harness
builder: timm:resnet18.a1_in1k
inputs: [{name: image, shape: [3, 224, 224]}]
outputs: [{name: class, shape: [1000]}]
recipe: {crop: [224, 224]}
"""


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one piece of work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def call_overhead(rounds: int, calls: int = 20_000) -> list[float]:
    """Seconds a call that :func:`time_calls` adds, one figure a round."""
    session = null.load(Path("none"), LoadRequest(card="card.yaml"))
    feeds = [{"image": np.zeros((1, 3, 224, 224), np.float32)}]

    def bare() -> None:
        for _ in range(calls):
            session.run(feeds[0])

    return [
        (seconds(lambda: time_calls(session, feeds, calls)) - seconds(bare)) / calls
        for _ in range(rounds)
    ]


def offline_rates(rounds: int, samples: int) -> list[tuple[float, float]]:
    """Samples per second of the offline loop and of plain reading and writing, by round."""
    result = bytes(4000)

    def plain(folder: Path) -> None:
        folder.mkdir()
        for i in range(samples):
            with open(f"prep/s{i}.bin", "rb", buffering=0) as file:
                file.read()
            (folder / f"s{i}_1.bin").write_bytes(result)

    def portproof(folder: Path) -> None:
        run("model.onnx", "prep.info", folder, backend="null", batch=16, card="card.yaml")

    Path("prep").mkdir()
    for i in range(samples):
        np.full((3, 224, 224), i, np.float32).tofile(f"prep/s{i}.bin")
    Path("prep.info").write_text(
        "".join(f"{i} prep/s{i}.bin 224 224\n" for i in range(samples)), encoding="ascii"
    )
    sides = (portproof, plain)
    rates = []
    for n in range(rounds):
        taken = {
            side: seconds(lambda side=side, n=n: side(Path(f"{side.__name__}{n}")))
            for side in (sides if n % 2 else sides[::-1])
        }
        rates.append((samples / taken[portproof], samples / taken[plain]))
    return rates


def save_model(path: Path) -> None:
    """Two convolutions and a pooling: a call of a few milliseconds."""
    rng = np.random.default_rng(0)
    shapes = {"a": (16, 3, 3, 3), "b": (32, 16, 3, 3)}
    weights = [
        numpy_helper.from_array(rng.standard_normal(s, dtype=np.float32), n)
        for n, s in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["image", "a"], ["x"], strides=[2, 2]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "b"], ["z"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["z"], ["class"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "two",
        [value("image", TensorProto.FLOAT, ["N", 3, 224, 224])],
        [value("class", TensorProto.FLOAT, ["N", 32, 1, 1])],
        weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6), path
    )


def spread(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def main() -> None:
    """Run the three parts and print a line each."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=5, help="of the first two parts (default 5)")
    options.add_argument(
        "--samples", type=int, default=500, help="of the offline loop (default 500)"
    )
    options.add_argument(
        "--trials", type=int, default=10, help="benches of the model against itself (default 10)"
    )
    options.add_argument("--batch", type=int, default=1, help="of those benches (default 1)")
    given = options.parse_args()
    progress.configure(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("card.yaml").write_text(CARD, encoding="utf-8")
        save_model(Path("model.onnx"))
        print(
            f"call: the clock adds {spread([1e6 * s for s in call_overhead(given.rounds)])} us a"
            " call",
            flush=True,
        )
        rates = offline_rates(given.rounds, given.samples)
        print(
            f"offline: {spread([a for a, _ in rates])} samples/s, plain"
            f" {spread([b for _, b in rates])}, ratio {spread([a / b for a, b in rates])}",
            flush=True,
        )
        ratios = [
            bench(["a=ort:model.onnx", "b=ort:model.onnx"], [given.batch], plan=Plan()).ratios[0]
            for _ in range(given.trials)
        ]
        covered = sum(r.ci95 is not None and r.ci95[0] <= 1 <= r.ci95[1] for r in ratios)
        print(
            f"a/a: ratio {spread([r.ratio for r in ratios])}, interval covers 1 in {covered} of"
            f" {given.trials}, half width"
            f" {spread([(r.ci95[1] - r.ci95[0]) / 2 for r in ratios if r.ci95])}"
        )
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
