"""Do two hosts of a fleet take half the time of one? And what does a step on a host cost in itself?

A Ray cluster of two nodes on this host, one processor and a file store each. The same inference, by
a model of one thread, in one part on one node and in two parts on both, in turn: from the step's
start to the sidecar of the whole, with all that comes between (asking what the nodes lack, starting
the process, hashing, bringing the results back). The results must be the same bytes. ``pooling``:
the same step with a model of nearly no work, which shows what a part costs beside its inference.

Example: ``python benchmarks/fleet.py --out benchmarks/results/fleet.md``
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# One thread is what is measured: what numpy's libraries start beside the model's is not.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.core import progress
from portproof.fleet.cluster import Cluster, connected
from portproof.fleet.driver import FleetRunner
from portproof.manifest import Sample, write_info
from portproof.proof.lock import locked
from portproof.proof.sidecar import environment, sidecar_of, versions_of
from portproof.rundir.layout import RunDir
from portproof.rundir.settings import Settings, write_settings
from portproof.rundir.step import Step, words

SIZE, GOAL = 96, 1.7
#: Model -> how many convolutions it has; about 20 ms a sample on one thread for nine of them.
MODELS = {"convolutions": 9, "pooling": 0}
RESULT = "ort/bs8/result"


def save_model(path: Path, convolutions: int) -> None:
    """So many convolutions of 32 channels, and a pooling."""
    rng = np.random.default_rng(0)
    nodes, weights, name = [], [], "image"
    for k in range(convolutions):
        shape = (32, 3 if k == 0 else 32, 3, 3)
        values = rng.standard_normal(shape, dtype=np.float32) / 10
        weights.append(numpy_helper.from_array(values, f"w{k}"))
        nodes.append(helper.make_node("Conv", [name, f"w{k}"], [f"c{k}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{k}"], [f"r{k}"]))
        name = f"r{k}"
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["class"]))
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "benchmark",
        [value("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
        [value("class", TensorProto.FLOAT, ["N", 32 if convolutions else 3, 1, 1])],
        weights,
    )
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=6), path)


def make_run(root: Path, samples: int) -> RunDir:
    """A run directory with a model and samples, as the steps before the inference leave it."""
    (root / RunDir.prep).mkdir(parents=True)
    rng = np.random.default_rng(1)
    listed = []
    for i in range(samples):
        name = f"{RunDir.prep}/s{i:05}.bin"
        rng.standard_normal((3, SIZE, SIZE), dtype=np.float32).tofile(root / name)
        listed.append(Sample(f"s{i:05}", (name,), SIZE, SIZE))
    write_info(root / RunDir.info, listed)
    for name, convolutions in MODELS.items():
        save_model(root / f"{name}.onnx", convolutions)
    settings = Settings(targets=("cpu",), model="none", weights="none", labels="none", batches=(8,))
    write_settings(root, settings)
    return RunDir(root, settings)


def step_of(model: str) -> Step:
    """The accuracy run, on one thread."""
    where = words("--info", RunDir.info, "--out", RESULT, "--backend", "ort")
    return Step(
        "infer ort",
        "infer",
        words(f"{model}.onnx", *where, "--batch", 8, "--threads", 1),
        reads=(f"{model}.onnx", RunDir.info),
        makes=(RESULT,),
    )


@contextlib.contextmanager
def two_nodes(folder: Path) -> Iterator[Cluster]:
    """A cluster of two nodes on this host."""
    from ray import cluster_utils

    def node(name: str) -> dict[str, object]:
        own = {"PORTPROOF_FLEET_STORE": str(folder / name), "PYTHONPATH": str(ROOT / "src")}
        return {"num_cpus": 1, "object_store_memory": 200_000_000, "env_vars": own}

    head = node("first") | {"include_dashboard": False}
    nodes = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes.add_node(**node("second"))
        with connected(nodes.address, {}, 60) as cluster:
            yield cluster
    finally:
        nodes.shutdown()


class Bench:
    """Times one step in one or two parts."""

    def __init__(self, run: RunDir, lock: int, cluster: Cluster) -> None:
        self.run, self.lock, self.cluster = run, lock, cluster
        self.results: dict[str, dict[str, bytes]] = {}

    def seconds(self, step: Step, shards: int) -> float:
        """Wall seconds from the step's start to its sidecar; the result is removed afterwards."""
        options = argparse.Namespace(quiet=True, log_json=False)
        runner = FleetRunner(
            self.run,
            self.lock,
            options,
            claims={"cpu": {"CPU": 1}},
            shards=shards,
            cluster=self.cluster,
            attempts=1,
        )
        began = time.perf_counter()
        code = runner.run_all(iter([step]))
        taken = time.perf_counter() - began
        if code:
            raise SystemExit(f"the step ended with exit code {code}")
        result = self.run.root / RESULT
        found = {path.name: path.read_bytes() for path in result.iterdir()}
        if found != self.results.setdefault(step.reads[0], found):
            raise SystemExit("one part and two parts do not make the same bytes")
        shutil.rmtree(result)
        sidecar_of(result).unlink()
        return taken


def shown(values: list[float]) -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def page(taken: dict[tuple[str, int], list[float]], samples: int) -> str:
    """The page of results."""
    host = environment()
    packages = versions_of(("ray", "onnxruntime", "numpy"))
    ratios = [a / b for a, b in zip(*(taken["convolutions", n] for n in (1, 2)), strict=True)]
    rows = [
        f"| {model} | {shown(taken[model, 1])} | {shown(taken[model, 2])} |" for model in MODELS
    ]
    named = ", ".join(f"{name} {version}" for name, version in packages.items())
    verdict = "reached" if statistics.median(ratios) >= GOAL else "not reached"
    return "\n".join(
        [
            "# Do two hosts of a fleet take half the time of one?",
            "",
            f"`python benchmarks/fleet.py --samples {samples} --rounds {len(ratios)}`,"
            f" {time.strftime('%Y-%m-%d')}. {host['processor']}, {host['cpus']} processors;"
            f" {host['system']} {host['release']}, Python {host['python']}, {named}; load"
            f" {os.getloadavg()[0]:.1f} at the end.",
            f"Two Ray nodes on this host, one processor each; {samples} samples, batch 8, one"
            " thread. Seconds from the step's start to its sidecar: median, lowest and highest.",
            "",
            "| model | one node | two nodes |",
            "|---|---|---|",
            *rows,
            "",
            f"Two nodes are {shown(ratios)} times as fast as one: the goal of {GOAL} is {verdict}."
            " The bytes are the same.",
            "`pooling` does nearly nothing: its time is what a part costs beside its inference.",
            "",
        ]
    )


def main() -> None:
    """Time both in turn and print the page."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--samples", type=int, default=1200, help="(default 1200)")
    options.add_argument("--rounds", type=int, default=3, help="(default 3)")
    options.add_argument("--out", type=Path, help="write the page here too")
    given = options.parse_args()
    progress.configure(quiet=True)
    taken: dict[tuple[str, int], list[float]] = {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        run = make_run(folder / "run", given.samples)
        cluster = stack.enter_context(two_nodes(folder))
        bench = Bench(run, stack.enter_context(locked(run.root)), cluster)
        for shards in (1, 2):  # the files are sent now, not within the clock
            bench.seconds(step_of("pooling"), shards)
        for turn in range(given.rounds):
            for shards in (1, 2) if turn % 2 else (2, 1):
                for model in MODELS:
                    seconds = bench.seconds(step_of(model), shards)
                    taken.setdefault((model, shards), []).append(seconds)
    text = page(taken, given.samples)
    print(text)
    if given.out:
        given.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
