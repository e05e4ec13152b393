"""Can the bench be believed? Trials of models of which the truth is known, and other clocks.

``null`` and ``real``: a model against itself, so that the ratio is 1: how often the 95 % interval
holds 1, how often it lies wholly on one side, and how far the ratio is off. ``null-until-ci``: the
first with starts added until the interval is 3 % wide to either side. ``work``: the same
model with 2 % of work added (51 equal layers against 50): how often that is found. ``sequential``:
the model against itself, one bench after the other, as it is done by hand. ``openvino`` and
``torch``: the median call beside that of OpenVINO's ``benchmark_app`` and of
``torch.utils.benchmark``, on the same model, one thread, in turn; ``openvino-device``: what
OpenVINO's request says it took, the clock that ``benchmark_app`` prints.

Every trial is a line of ``--out``, with what else the processor did meanwhile: trials on a loaded
machine are kept and shown apart. Started again, it goes on until there are so many trials.

Example: ``python benchmarks/fidelity.py --kinds null real work --trials 300 --out trials.jsonl``
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.core import progress
from portproof.infer.timing.job import bench
from portproof.infer.timing.protocol import Plan
from portproof.infer.timing.speed_ratio import paired_ratio
from portproof.measurement import Boundary, Performance

#: A trial during which others used more of the processor is shown apart.
LOADED = 0.05
LAYERS, CHANNELS, SIDE = 50, 16, 56
CARD = f"""\
name: chain
builder: chain.py:build
inputs: [{{name: image, shape: [3, {SIDE}, {SIDE}]}}]
outputs: [{{name: class, shape: [{CHANNELS}, {SIDE}, {SIDE}]}}]
recipe: {{crop: [{SIDE}, {SIDE}]}}
"""
TORCH = f"""\
from torch import nn
def build():
    layer = lambda channels: nn.Conv2d(channels, {CHANNELS}, 3, padding=1)
    return nn.Sequential(*(layer({CHANNELS} if i else 3) for i in range({LAYERS})))
"""
TIMER = f"""\
import sys; sys.path.insert(0, '.')
import torch; torch.set_num_threads(1)
from torch.utils.benchmark import Timer
from chain import build
model = build().eval(); x = torch.rand(1, 3, {SIDE}, {SIDE})
with torch.inference_mode():
    timer = Timer('model(x)', globals=dict(model=model, x=x))
    print(timer.blocked_autorange(min_run_time=2).median)
"""


def save_chain(path: Path, added: int, layers: int = LAYERS) -> None:
    """Equal convolutions; the added ones keep every value, so that the answers are the same."""
    rng = np.random.default_rng(0)
    shape = (CHANNELS, CHANNELS, 3, 3)
    kernels = [rng.standard_normal(shape, dtype=np.float32) / 12 for _ in range(layers)]
    kernels[0] = kernels[0][:, :3]
    keeps = np.zeros(shape, np.float32)
    keeps[range(CHANNELS), range(CHANNELS), 1, 1] = 1
    kernels += [keeps] * added
    names = ["image", *(f"x{i}" for i in range(len(kernels) - 1)), "class"]
    nodes = [
        helper.make_node("Conv", [names[i], f"w{i}"], [names[i + 1]], pads=[1, 1, 1, 1])
        for i in range(len(kernels))
    ]
    weights = [numpy_helper.from_array(k, f"w{i}") for i, k in enumerate(kernels)]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, SIDE, SIDE])
        for name, channels in (("image", 3), ("class", CHANNELS))
    ]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], weights)
    opset = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=6), path)


def alternating(a: str, b: str, until_ci: float | None = None) -> dict[str, Any]:
    """One bench of two subjects."""
    plan = Plan(until_ci=until_ci)
    done = bench([f"a={a}", f"b={b}"], [1], card="card.yaml", threads=1, plan=plan)
    ratio = done.ratios[0]
    return {"ratio": ratio.ratio, "ci95": ratio.ci95, "status": done.status, **_load(done)}


def sequential() -> dict[str, Any]:
    """Two benches one after the other, each as long as a subject's part of the alternating one."""
    one, two = (bench([f"{x}=ort:chain.onnx"], [1], threads=1, plan=Plan()) for x in "ab")
    ratio = paired_ratio(one.measurements[0], two.measurements[0])
    loads = [_load(x)["other_cpu"] for x in (one, two)]
    return {"ratio": ratio.ratio, "other_cpu": max(loads)}


def against(
    backend: str, file: str, boundary: Boundary, other: Callable[[], float]
) -> dict[str, Any]:
    """Our median over another clock's, of the boundary that it times, in seconds a call."""
    done = bench([f"a={backend}:{file}"], [1], card="card.yaml", threads=1, plan=Plan())
    ours = next(m for m in done.measurements if m.boundary == boundary)
    return {"ratio": (ours.median_s or 0) / other(), **_load(done)}


def _load(done: Performance) -> dict[str, Any]:
    shares = [m.counters.get("other_cpu_fraction") or 0.0 for m in done.measurements]
    return {"other_cpu": max(shares)}


def benchmark_app() -> float:
    """Seconds of the median call by OpenVINO's own tool."""
    words = "-m chain.onnx -d CPU -api sync -hint none -nthreads 1 -infer_precision f32 -t 2"
    tool = Path(sys.executable).with_name("benchmark_app")
    done = subprocess.run([tool, *words.split()], capture_output=True, text=True, check=True)
    found = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    assert found, done.stdout
    return float(found[1]) / 1000


def torch_timer() -> float:
    """Seconds of the median call by torch.utils.benchmark, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", TIMER], capture_output=True, text=True, check=True)
    return float(done.stdout)


KINDS: dict[str, Callable[[], dict[str, Any]]] = {
    "null": lambda: alternating("null:chain.onnx", "null:chain.onnx"),
    "null-until-ci": lambda: alternating("null:chain.onnx", "null:chain.onnx", until_ci=0.03),
    "real": lambda: alternating("ort:chain.onnx", "ort:chain.onnx"),
    "work": lambda: alternating("ort:chain.onnx", "ort:more.onnx", until_ci=0.01),
    "sequential": sequential,
    "openvino": lambda: against("openvino", "chain.onnx", "call", benchmark_app),
    "openvino-device": lambda: against("openvino", "chain.onnx", "device", benchmark_app),
    "torch": lambda: against("eager", "chain.pth", "call", torch_timer),
}


def prepare() -> None:
    """The files of the trials, in the working directory."""
    Path("card.yaml").write_text(CARD, encoding="utf-8")
    Path("chain.py").write_text(TORCH, encoding="utf-8")
    save_chain(Path("chain.onnx"), 0)
    save_chain(Path("more.onnx"), LAYERS // 50)


def save_torch() -> None:
    """The weights of the eager trial."""
    import torch

    sys.path.insert(1, os.getcwd())
    build: Callable[[], Any] = importlib.import_module("chain").build
    torch.save(build().state_dict(), "chain.pth")


def row(kind: str, trials: list[dict[str, Any]], load: str) -> str:
    """A line of the table."""
    ratios = [t["ratio"] for t in trials]
    near = sum(abs(r - 1) <= 0.03 for r in ratios) / len(ratios)
    cells = [kind, load, str(len(trials))]
    known = [t for t in trials if t.get("ci95")]
    if known:
        inside = sum(t["ci95"][0] <= 1 <= t["ci95"][1] for t in known)
        exact = binomtest(inside, len(known)).proportion_ci(method="exact")
        half = statistics.median((t["ci95"][1] / t["ci95"][0]) ** 0.5 - 1 for t in known)
        cells += [
            f"{inside} ({100 * exact.low:.0f} to {100 * exact.high:.0f} %)",
            str(sum(t["ci95"][0] > 1 for t in known)),
            str(sum(t["ci95"][1] < 1 for t in known)),
            f"{100 * half:.2f} %",
            str(sum(t["status"] == "unstable" for t in known)),
        ]
    else:
        cells += ["-"] * 5
    stable = [abs(t["ratio"] - 1) <= 0.03 for t in known if t["status"] == "ok"]
    vouched = f"{sum(stable)} of {len(stable)}" if stable else "-"
    quartiles = f"{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})"
    return f"| {' | '.join([*cells, f'{100 * near:.0f} %', vouched, quartiles])} |"


def table(trials: list[dict[str, Any]]) -> str:
    """What the trials say."""
    head = (
        "| trial | machine | n | interval holds 1 | above 1 | below 1 | half width | unstable |"
        " within 3 % of 1 | so, of those called ok | ratio, median (extremes) |"
    )
    lines = [head, "|" + "---|" * 11]
    for kind in KINDS:
        mine = [t for t in trials if t["kind"] == kind]
        for load in ("quiet", "loaded"):
            chosen = [t for t in mine if (t["other_cpu"] > LOADED) == (load == "loaded")]
            lines += [row(kind, chosen, load)] if chosen else []
    return "\n".join(lines)


def main() -> None:
    """Run trials in turn until there are as many as were asked for, and print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=["null", "real", "work"])
    options.add_argument("--trials", type=int, default=30, help="of each kind (default 30)")
    options.add_argument("--minutes", type=float, default=1e9, help="begin no trial after so long")
    options.add_argument("--out", type=Path, required=True, help="the trials, a JSON object a line")
    given = options.parse_args()
    progress.configure(quiet=True)
    out, began = given.out.absolute(), time.monotonic()
    trials = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        if "torch" in given.kinds:
            save_torch()
        for number in range(given.trials):
            for kind in given.kinds:
                there = sum(t["kind"] == kind for t in trials) > number
                if there or time.monotonic() - began > 60 * given.minutes:
                    continue
                trials.append({"kind": kind, "time": round(time.time())} | KINDS[kind]())
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(trials[-1]) + "\n")
        os.chdir(ROOT)
    print(table(trials))


if __name__ == "__main__":
    main()
