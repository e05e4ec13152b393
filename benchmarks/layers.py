"""How often is the damaged layer named? Faults planted in the layers of a network, each alone, in
ports of several forms, and healthy ports of every form as controls.

Ground truth is the layer that was changed. A fault is *named* if that layer is the first one;
*wrong* if another is; *agrees* if the report says that the outputs agree, which is right where the
fault changes them by less than rounding does (the last column counts those).

Example: ``python benchmarks/layers.py --network resnet18 > benchmarks/results/layers.md``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof.convert.precision.half import write_half
from portproof.convert.precision.int8 import write_int8
from portproof.manifest import read_info
from portproof.metrics.layerwise.compare import compare_layers
from portproof.metrics.layerwise.report import LayerReport

SIZE, SAMPLES = 64, 2
#: What is done to the weight of a layer, with the depth of the layer as a share of all.
FAULTS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "doubled, first": (0.0, lambda w: w * 2),
    "doubled, middle": (0.5, lambda w: w * 2),
    "doubled, last": (1.0, lambda w: w * 2),
    "sign": (0.3, lambda w: -w),
    "one channel zero, early": (0.15, lambda w: _set(w, slice(0, 1), 0)),
    "one channel zero, late": (0.85, lambda w: _set(w, slice(0, 1), 0)),
    "one channel doubled": (0.45, lambda w: _set(w, slice(1, 2), w[1:2] * 2)),
    "two channels exchanged": (0.6, lambda w: _set(w, [0, 1], w[[1, 0]])),
    "inputs reversed": (0.4, lambda w: w[:, ::-1]),
    "kernel mirrored": (0.25, lambda w: w[..., ::-1]),
    "kernel transposed": (0.7, lambda w: np.swapaxes(w, -1, -2) if w.ndim == 4 else -w),
    "one value plus 1": (0.2, lambda w: _add(w, 1.0)),
    "one value plus 0.1": (0.75, lambda w: _add(w, 0.1)),
    "1 % larger": (0.35, lambda w: w * 1.01),
    "0.1 % larger": (0.55, lambda w: w * 1.001),
    "an exponent bit": (0.1, lambda w: _bit(w, 23)),
    "noise of 1 %": (0.65, lambda w: w + 0.01 * w.std() * _noise(w)),
    "pruned to half": (0.9, lambda w: np.where(np.abs(w) < np.median(np.abs(w)), 0, w)),
}  # fmt: skip


def _noise(w: Any) -> Any:
    return np.random.default_rng(0).normal(size=w.shape)


def _set(w: Any, where: Any, value: Any) -> Any:
    w = w.copy()
    w[where] = value
    return w


def _add(w: Any, value: float) -> Any:
    w = w.copy()
    w.reshape(-1)[np.argmax(np.abs(w))] += value
    return w


def _bit(w: Any, bit: int) -> Any:
    w = np.array(w, dtype=np.float32)
    w.reshape(-1).view(np.uint32)[int(np.argmax(np.abs(w)))] ^= np.uint32(1 << bit)
    return w


class Bench:
    """A network with random weights, exported, with samples, in a folder of its own."""

    def __init__(self, folder: Path, network: str) -> None:
        import onnx
        import torch
        import torchvision

        self.folder, self.info = folder, folder / "x.info"
        torch.manual_seed(0)
        net = torchvision.models.get_model(network, num_classes=20).eval()
        for part in net.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.1)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
        self.unfolded, self.model = folder / "unfolded.onnx", folder / "model.onnx"
        for path, mode in ((self.unfolded, "PRESERVE"), (self.model, "EVAL")):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(
                    net,
                    (torch.zeros(1, 3, SIZE, SIZE),),
                    str(path),
                    opset_version=13,
                    dynamo=False,
                    training=getattr(torch.onnx.TrainingMode, mode),
                )
        generator, lines = np.random.default_rng(1), []
        for i in range(SAMPLES):
            file = folder / f"s{i}.bin"
            generator.standard_normal((3, SIZE, SIZE)).astype(np.float32).tofile(file)
            lines.append(f"{i} {file}\n")
        self.info.write_text("".join(lines), encoding="utf-8")
        graph = onnx.load(self.model).graph
        self.layers = [n for n in graph.node if n.op_type in ("Conv", "Gemm")]

    def damaged(self, fault: str) -> tuple[Path, str]:
        """The file with a fault, and the tensor of the layer."""
        import onnx
        from onnx import numpy_helper

        depth, by = FAULTS[fault]
        node = self.layers[round(depth * (len(self.layers) - 1))]
        model = onnx.load(self.model)
        weight = next(w for w in model.graph.initializer if w.name == node.input[1])
        values = np.ascontiguousarray(by(numpy_helper.to_array(weight)), dtype=np.float32)
        weight.CopyFrom(numpy_helper.from_array(values, weight.name))
        path = self.folder / "damaged.onnx"
        onnx.save(model, path)
        return path, node.output[0]

    def forms(self, path: Path) -> Iterator[tuple[str, Path, Path]]:
        """A port's forms: what it is called, the reference it is compared with, and its file."""
        import onnxruntime

        yield "fp32", self.model, path
        yield "fp32, BN folded by one side", self.unfolded, path
        fused, half, eight = (self.folder / f"{n}.onnx" for n in ("fused", "half", "eight"))
        options = onnxruntime.SessionOptions()
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath, options.log_severity_level = str(fused), 3
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        yield "fp32, fused by ONNX Runtime", self.model, fused
        write_half(path, half)
        yield "fp16", self.model, half
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            write_int8(path, read_info(self.info), "minmax", eight, Path(scratch))
        yield "int8", self.model, eight


def outcome(report: LayerReport, layer: str, after: set[str]) -> str:
    """What a report is worth. ``after``: other names of the layer's result: of a fused operator and
    of the layer that is folded into it.
    """
    if report.first is None:
        return "agrees" if report.agree else "spread"
    return "named" if report.first in {layer, *after} else "wrong"


def main() -> None:
    """Plant, compare, print a table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--network", default="resnet18", help="of torchvision (default resnet18)")
    options.add_argument("--faults", type=int, nargs="+", help="their numbers (default: all)")
    given = options.parse_args()
    faults = [list(FAULTS)[n] for n in given.faults or range(len(FAULTS))]
    outcomes = ("named", "wrong", "spread", "agrees")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.network)
        counts: dict[str, dict[str, int]] = {}
        healthy: dict[str, str] = {}
        for form, reference, path in bench.forms(bench.model):
            report = compare_layers(reference, path, bench.info)
            healthy[form] = "none" if report.first is None else f"FALSE: {report.first}"
        rows = []
        for fault in faults:
            path, layer = bench.damaged(fault)
            for form, reference, port in bench.forms(path):
                report = compare_layers(reference, port, bench.info)
                found = outcome(report, layer, _names_after(reference, layer))
                counts.setdefault(form, dict.fromkeys(outcomes, 0))[found] += 1
                rows.append(f"| {fault} | {form} | {report.first or '-'} | {found} |")
                print(f"{rows[-1]}", file=sys.stderr, flush=True)
    print(
        f"# The damaged layer, named or not\n\n{given.network} of torchvision with random weights,"
        f" {SIZE} x {SIZE} pixels, {SAMPLES} samples, {len(faults)} planted faults. Written by"
        " `python benchmarks/layers.py`. 'agrees': the fault changes the outputs by no more than"
        " rounding to the port's precision.\n"
    )
    print(f"| port | {' | '.join(outcomes)} | healthy port: fault named |")
    print("|---|---|---|---|---|---|")
    for form, row in counts.items():
        cells = " | ".join(str(row[o]) for o in outcomes)
        print(f"| {form} | {cells} | {healthy[form]} |")
    print("\n| fault | port | first | outcome |\n|---|---|---|---|")
    print("\n".join(rows))


def _names_after(reference: Path, layer: str) -> set[str]:
    """The results of what one operator may hold together with the layer: batch normalisation and
    activation after it, or the part before it where normalisation is folded.
    """
    import onnx

    graph = onnx.load(reference, load_external_data=False).graph
    stem = layer.rpartition("/")[0]
    known = {layer}
    names = {o for n in graph.node for o in n.output if stem and o.startswith(f"{stem}/")}
    for _ in range(3):
        for node in graph.node:
            if set(node.input) & (known | names) and node.op_type in (
                "BatchNormalization", "Relu", "Add",
            ):  # fmt: skip
                known |= set(node.output)
    return known | names


if __name__ == "__main__":
    main()
