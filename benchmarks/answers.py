"""Whether a bench tells wrong answers from right ones: false alarms over healthy runtimes, and
planted faults found or missed.

Nine models by configuration, random weights (so answers vary little between inputs), small images;
each on PyTorch eager, torch.compile, ONNX Runtime (fp32, int8) and OpenVINO (fp32, and bf16 where
the processor has it), at six batch sizes, through the worker's own code: load, warm-up, blocks,
evidence. Healthy sides are compared with themselves and with eager; any alarm is a false one. Then
each fault is planted between runtime and worker, alone and beside a healthy reference.

Example: ``python benchmarks/answers.py --backends eager,ort``
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT / "src")

from portproof import backend as backends
from portproof.backend import LoadRequest
from portproof.core import progress
from portproof.infer.timing.answers.assess import Witnessed, assess
from portproof.infer.timing.answers.hearing import never_varies
from portproof.infer.timing.processes.child import Server
from portproof.infer.timing.processes.feed import Feeding
from portproof.measurement import Answers

BATCHES = (1, 2, 4, 8, 16, 32)
SIZE = 64
#: Subject -> backend, model file, precision.
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
    return torchvision.models.VisionTransformer(64, 16, 2, 4, 64, 128, num_classes=100)


def shufflenet():
    return torchvision.models.shufflenet_v2_x0_5(num_classes=100)


def squeezenet():
    return torchvision.models.squeezenet1_1(num_classes=100)


resnet18 = _timm("resnet18")
mobilenetv3 = _timm("mobilenetv3_small_050")
efficientnet = _timm("efficientnet_b0")
regnety = _timm("regnety_002")
convnext = _timm("convnext_atto")
vit = _timm("vit_tiny_patch16_224", img_size=64)
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

Arrays = dict[str, Any]
Fault = Callable[[Arrays, Arrays, dict[str, Any]], Arrays]


def each(outputs: Arrays, change: Callable[[Any], Any]) -> Arrays:
    """Every output changed, as a copy."""
    return {name: change(np.array(array)) for name, array in outputs.items()}


def swap(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first two rows in each other's place."""
    return each(outputs, lambda a: a[[1, 0, *range(2, len(a))]] if len(a) > 1 else a)


def swap_far(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first row and the last in each other's place."""
    return each(outputs, lambda a: a[[-1, *range(1, len(a) - 1), 0]] if len(a) > 1 else a)


def backwards(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """All rows the other way round."""
    return each(outputs, lambda a: a[::-1])


def mean_leak(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The mean of the batch subtracted."""
    return each(outputs, lambda a: a - a.mean(axis=0))


def small_leak(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """A tenth of the row before added."""
    return each(outputs, lambda a: a + 0.1 * np.roll(a, 1, axis=0) if len(a) > 1 else a)


def last_row_repeats(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The last row has the answer of the one before."""
    return each(outputs, lambda a: a[[*range(len(a) - 1), len(a) - 2]] if len(a) > 1 else a)


def first_cached(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The first answer to everything of one shape."""
    return state.setdefault(str(len(next(iter(outputs.values())))), each(outputs, np.copy))


def before(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """The answers of the call before, where that had the shape."""
    now = each(outputs, np.copy)
    old = state.get("old", now)
    state["old"] = now
    same = all(old[n].shape == now[n].shape for n in now)
    return old if same else now


def random_row(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """One row of noise as large as the answers."""
    generator = state.setdefault("generator", np.random.default_rng(1))

    def change(a: Any) -> Any:
        row = len(a) // 2
        a[row] = generator.normal(a.mean(), a.std() + 1e-6, a[row].shape)
        return a

    return each(outputs, change)


def nan_above(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """NaN above batch 2."""
    return each(outputs, lambda a: a * np.nan if len(a) > 2 else a)


def zeros(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """Rows of the second half stay empty."""
    return each(outputs, lambda a: np.concatenate([a[: (len(a) + 1) // 2], 0 * a[(len(a) + 1) // 2 :]]))


def dropout(_: Arrays, outputs: Arrays, state: dict[str, Any]) -> Arrays:
    """A tenth of the answers are dropped, others each time."""
    generator = state.setdefault("generator", np.random.default_rng(2))
    return each(outputs, lambda a: a * (generator.random(a.shape) > 0.1))


#: Fault -> the least batch at which it does anything.
FAULTS: dict[Fault, int] = {
    swap: 2,
    swap_far: 2,
    backwards: 2,
    mean_leak: 2,
    small_leak: 2,
    last_row_repeats: 2,
    first_cached: 1,
    before: 1,
    random_row: 1,
    nan_above: 3,
    zeros: 2,
    dropout: 1,
}


class Faulty:
    """A session whose answers are changed on their way."""

    def __init__(self, session: Any, fault: Fault) -> None:
        self._session, self._fault, self._state = session, fault, dict[str, Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, feeds: Any) -> Arrays:
        """One batch."""
        return self._fault(feeds, self._session.run(feeds), self._state)


@dataclass
class Side:
    """A subject of one model."""

    label: str
    fault: Fault | None = None
    heard: dict[int, Witnessed] = field(default_factory=dict)
    seconds: float = 0.0
    asked: float = 0.0

    def hear(self, batch: int, others: bool) -> None:
        """Load, warm up, two short blocks, and the evidence, as a worker does."""
        name, file, precision = SUBJECTS[self.label]
        real = backends.find(name)

        def load(model: Path, request: LoadRequest) -> Any:
            session = real.load(model, request)
            return Faulty(session, self.fault) if self.fault else session

        module = SimpleNamespace(load=load, PACKAGES=real.PACKAGES)
        server, began = Server(), time.perf_counter()
        kept, backends.find = backends.find, lambda _: module  # type: ignore[assignment]
        try:
            request = LoadRequest(batch, precision=precision, card="card.yaml", spinning=False)
            loaded = server.load(name, file, request, Feeding("random", None, {}))
            server.warm_up(2)
            server.block(2, False)
            server.block(2, True)
            evidence = server.evidence(False)
            assert evidence is not None
            if not others and never_varies(evidence.calls):
                evidence = server.anew()
            server.unload()
        finally:
            backends.find = kept
        self.seconds += time.perf_counter() - began
        self.asked += evidence.seconds
        self.heard[batch] = Witnessed(loaded.precision, [evidence])


def heard(label: str, batches: tuple[int, ...], fault: Fault | None, others: bool) -> Side:
    """A subject at all batches."""
    side = Side(label, fault)
    for batch in batches:
        side.hear(batch, others)
    return side


def prepare(name: str) -> None:
    """Weights, card and ONNX files of a model in the working directory."""
    import torch
    from portproof.convert.export.export import export
    from portproof.convert.pytorch.models import build_model
    from portproof.preprocess.cards.resolve import resolve_card

    Path("models.py").write_text(MODELS, encoding="utf-8")
    Path("card.yaml").write_text(CARD.format(name=name, size=SIZE), encoding="utf-8")
    torch.manual_seed(0)
    torch.save(build_model(resolve_card("card.yaml"), None).state_dict(), "weights.pth")
    try:
        export("weights.pth", "model.onnx", "card.yaml", opset=13)
    except Exception as error:
        print("export", name, error)
        model = build_model(resolve_card("card.yaml"), Path("weights.pth")).eval()
        torch.onnx.export(model, (torch.zeros(1, 3, SIZE, SIZE),), "model.onnx", opset_version=17, input_names=["image"], output_names=["class"], dynamic_axes={"image": {0: "N"}, "class": {0: "N"}}, dynamo=False)
    from onnxruntime.quantization import quantize_dynamic, QuantType
    quantize_dynamic("model.onnx", "int8.onnx", weight_type=QuantType.QUInt8)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--subjects", default=",".join(SUBJECTS))
    options.add_argument("--models", default=",".join(NAMES))
    given = options.parse_args()
    progress.configure(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in given.models.split(","):
            home = Path(folder, name)
            home.mkdir()
            os.chdir(home)
            prepare(name)
            sides = {}
            for label in given.subjects.split(","):
                try:
                    sides[label] = heard(label, BATCHES, None, True)
                except Exception as error:
                    print(name, label, "cannot run", str(error)[:200])
            for (label, batch), a in assess({k: s.heard for k, s in sides.items()}, "eager").items():
                if not a.ok:
                    print("FALSE ALARM", name, label, batch, a.reason)
            for label, s in sides.items():
                from portproof.infer.timing.answers.judge import expected, judged_outputs
                worst = []
                calls = [c for w in s.heard.values() for c in w.calls]
                for at in judged_outputs(calls):
                    e = expected(calls, at)
                    ds = [(e.distance(np.asarray(v, float), e.answers[k])).max() for c in calls for k, v in zip(c.keys, c.outputs[at].values)]
                    ref = sides["eager"]
                    er = expected([c for w in ref.heard.values() for c in w.calls], at)
                    cross = np.sqrt(np.mean([er.distance(e.answers[k], er.answers[k])**2 for k in er.answers]))
                    print(f"{name:12} {label:14} size {e.size[0]:.3g} spread {e.spread[0]:.3g} own d {max(ds):.3g} = {max(ds)/e.size[0]:.2g} size = {max(ds)/max(e.spread[0],1e-30):.2g} spread; cross {cross:.3g} = {cross/er.size[0]:.2g} size {cross/max(er.spread[0],1e-30):.2g} spread  [{s.seconds:.1f}s asked {s.asked:.2f}]", flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    main()
