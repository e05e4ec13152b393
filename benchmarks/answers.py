"""Whether a bench tells wrong answers from right ones: false alarms over healthy runtimes, and
planted faults found or missed.

Nine models by configuration, with random weights (so that answers vary little between inputs) and
small images, at six batch sizes, through the worker's own code: load, warm-up, blocks, evidence.
Each healthy subject is judged by itself and beside PyTorch eager; any alarm is a false one. Then
each fault is planted between runtime and worker, and judged alone and beside the healthy one. A
fault that changes no bit (a swap of equal answers) is none and is not counted.

Example: ``python benchmarks/answers.py --models resnet18,vit --subjects eager,ort --planted ort``
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT / "src"), str(ROOT / "benchmarks")]

from answers_faults import FAULTS, Fault, Faulty

from portproof import backend as backends
from portproof.backend import LoadRequest
from portproof.convert.export.export import export
from portproof.convert.pytorch.models import build_model
from portproof.core import progress
from portproof.infer.timing.answers.assess import Witnessed, assess
from portproof.infer.timing.answers.judge import expected, never_varies
from portproof.infer.timing.job import bench
from portproof.infer.timing.processes.child import Server
from portproof.infer.timing.processes.feed import Feeding
from portproof.preprocess.cards.resolve import resolve_card

BATCHES = (1, 2, 4, 8, 16, 32)
#: Subject -> backend, model file, precision. The int8 file has dynamic ranges, one a batch.
SUBJECTS = {
    "eager": ("eager", "weights.pth", None),
    "ort": ("ort", "model.onnx", None),
    "openvino": ("openvino", "model.onnx", None),
    "ort int8": ("ort", "int8.onnx", None),
    "openvino bf16": ("openvino", "model.onnx", "bf16"),
    "eager bf16": ("eager", "weights.pth", "bf16"),
    "inductor": ("inductor", "weights.pth", None),
}
MODELS = """\
import timm
import torchvision


def _timm(name, **settings):
    return lambda: timm.create_model(name, num_classes=100, **settings)


def constant():
    \"\"\"torchvision begins with a head of zeros: one answer to everything.\"\"\"
    return torchvision.models.VisionTransformer(SIZE, 16, 2, 4, 64, 128, num_classes=100)


def shufflenet():
    return torchvision.models.shufflenet_v2_x0_5(num_classes=100)


def squeezenet():
    return torchvision.models.squeezenet1_1(num_classes=100)


resnet18 = _timm("resnet18")
mobilenetv3 = _timm("mobilenetv3_small_050")
efficientnet = _timm("efficientnet_b0")
regnety = _timm("regnety_002")
convnext = _timm("convnext_atto")
vit = _timm("vit_tiny_patch16_224", img_size=SIZE)
"""
NAMES = (
    *("resnet18", "mobilenetv3", "efficientnet", "regnety", "convnext", "vit"),
    *("shufflenet", "squeezenet", "constant"),
)
CARD = """\
name: {name}
builder: models.py:{name}
inputs: [{{name: image, shape: [3, {size}, {size}]}}]
outputs: [{{name: class, shape: [100]}}]
recipe: {{crop: [{size}, {size}]}}
"""


@dataclass
class Side:
    """A subject of one model: what it answered, and the seconds that this took."""

    label: str
    fault: Fault | None = None
    heard: dict[int, Witnessed] = field(default_factory=dict)
    acted: dict[int, int] = field(default_factory=dict)
    asked_s: float = 0.0

    def hear(self, batch: int, alone: bool) -> None:
        """Load, warm up, two short blocks, and the evidence, as a worker does."""
        name, file, precision = SUBJECTS[self.label]
        real = backends.find(name)

        def load(model: Path, request: LoadRequest) -> Any:
            session = real.load(model, request)
            return Faulty(session, self.fault, self.acted) if self.fault else session

        module = SimpleNamespace(load=load, PACKAGES=real.PACKAGES)
        request = LoadRequest(batch, precision=precision, card="card.yaml", spinning=False)
        server = Server()
        with mock.patch.object(backends, "find", lambda _: module):
            loaded = server.load(name, file, request, Feeding("random", None, {}))
            server.warm_up(2)
            server.block(2, last=False)
            server.block(2, last=True)
            evidence = server.evidence(singles=False)
            assert evidence is not None
            if alone and never_varies(evidence.calls):
                evidence = server.anew()
            server.unload()
        self.asked_s += evidence.seconds
        self.heard[batch] = Witnessed(loaded.precision, [evidence])


def heard(label: str, fault: Fault | None = None) -> Side:
    """A subject at all batches."""
    side = Side(label, fault)
    for batch in BATCHES:
        side.hear(batch, alone=fault is not None)
    return side


def prepare(name: str, size: int) -> None:
    """Weights, card and ONNX files of a model in the working directory."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    Path("models.py").write_text(MODELS.replace("SIZE", str(size)), encoding="utf-8")
    Path("card.yaml").write_text(CARD.format(name=name, size=size), encoding="utf-8")
    torch.manual_seed(0)
    torch.save(build_model(resolve_card("card.yaml"), None).state_dict(), "weights.pth")
    export("weights.pth", "model.onnx", "card.yaml", opset=13)
    quantize_dynamic("model.onnx", "int8.onnx", weight_type=QuantType.QUInt8)


def needed(side: Side) -> tuple[float, float, float]:
    """The largest distance of two answers to equal rows as a part of the answers' size and of their
    spread, and the spread as a part of the size.
    """
    calls = [call for witnessed in side.heard.values() for call in witnessed.calls]
    right, distance = expected(calls, 0), 0.0
    for call in calls:
        for key, row in zip(call.keys, np.asarray(call.outputs[0].values), strict=True):
            gap = right.distance(np.asarray(row, float), right.answers[key])
            distance = max(distance, float(gap.max()))
    size, spread = float(right.size[0]), float(right.spread[0])
    return distance / (size or 1), distance / (spread or 1), spread / (size or 1)


def healthy(name: str, labels: list[str]) -> tuple[dict[str, Side], int]:
    """The healthy subjects of a model, and the false alarms, both printed."""
    sides = {label: heard(label) for label in labels}
    verdicts = assess({label: side.heard for label, side in sides.items()}, "eager")
    alarms = 0
    for label, side in sides.items():
        own = [(b, a) for (who, b), a in verdicts.items() if who == label and not a.ok]
        alarms += len(own)
        size, spread, ratio = needed(side)
        print(
            f"| {name} | {label} | {size:.1e} | {spread:.1e} | {ratio:.1e} | {len(own)} of"
            f" {len(BATCHES)} |",
            flush=True,
        )
        for batch, answers in own:
            print(f"false alarm: {name}, {label}, batch {batch}: {answers.reason}")
    return sides, alarms


def planted(sides: dict[str, Side], label: str, tally: dict[str, dict[str, list[int]]]) -> None:
    """Every fault in one subject, alone and beside the healthy one."""
    for fault in FAULTS:
        side = heard(label, fault)
        judged = {
            "alone": assess({label: side.heard}, None),
            "beside": assess({label: side.heard, "right": sides[label].heard}, "right"),
        }
        for batch in BATCHES:
            if side.acted.get(batch):
                for how, verdicts in judged.items():
                    counts = tally.setdefault(f"{fault.__name__} | {label}", {}).setdefault(how, [])
                    counts.append(not verdicts[label, batch].ok)


def cost(name: str) -> None:
    """A bench as a user runs it: the seconds of all that judging needs, and of the bench."""
    began = time.perf_counter()
    subjects = ["port=ort:model.onnx", "reference=eager:weights.pth"]
    done = bench(subjects, BATCHES, card="card.yaml")
    whole = time.perf_counter() - began
    asked = {(m.label, m.batch): m.answers for m in done.measurements if m.answers}
    spent, calls = sum(a.seconds for a in asked.values()), sum(a.calls for a in asked.values())
    counted = sum(len(m.samples) + len(m.warmup) + len(m.blocks) for m in done.measurements)
    print(
        f"cost: {name}: {spent:.2f} s of {whole:.1f} s ({spent / whole:.1%}), {calls} calls beside"
        f" {counted}; they are the first window of the warm-up"
    )


def main() -> None:
    """Print a line a healthy subject, then one a fault, then the cost."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for flag, default in (("models", NAMES), ("subjects", SUBJECTS), ("planted", ("ort",))):
        options.add_argument(f"--{flag}", default=",".join(default), help="default: %(default)s")
    options.add_argument("--cost", action="store_true", help="bench each model instead")
    options.add_argument("--size", type=int, default=64, help="of an image (default 64)")
    given = options.parse_args()
    labels = [x for x in given.subjects.split(",") if x]
    progress.configure(quiet=True)
    tally: dict[str, dict[str, list[int]]] = {}
    alarms = rows = 0
    if not given.cost:
        print("| model | subject | of size | of spread | spread of size | false alarms |")
        print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models.split(","):
            home = Path(folder, name)
            home.mkdir()
            os.chdir(home)
            prepare(name, given.size)
            if given.cost:
                cost(name)
                continue
            sides, found = healthy(name, labels)
            alarms, rows = alarms + found, rows + len(sides) * len(BATCHES)
            for label in filter(None, given.planted.split(",")):
                planted(sides, label, tally)
        os.chdir(ROOT)
    if given.cost:
        return
    print(f"\nfalse alarms: {alarms} of {rows}\n")
    print("| fault | subject | found alone | found beside a healthy one |")
    print("|---|---|---|---|")
    for fault, counts in tally.items():
        shown = [f"{sum(counts[how])} of {len(counts[how])}" for how in ("alone", "beside")]
        print(f"| {fault} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
