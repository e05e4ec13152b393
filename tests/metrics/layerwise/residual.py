"""A small residual network, its exports, its dumps as other tools write them, and faults in it."""

from __future__ import annotations

import base64
import copy
import io
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

SIZE, COUNT = 12, 3
CODE = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, wide):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)
        self.conv2, self.bn2 = nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide)
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + x)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.bn, self.relu = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()
        self.block1, self.block2 = Block(8), Block(8)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 5)

    def forward(self, x):
        x = self.block2(self.block1(self.relu(self.bn(self.stem(x)))))
        return self.fc(torch.flatten(self.pool(x), 1))


def build():
    return Net()
"""
CARD = f"""
name: residual
builder: residual_net.py:build
inputs: [{{name: image, shape: [3, {SIZE}, {SIZE}]}}]
outputs: [{{name: class, shape: [5]}}]
recipe: {{resize: {{size: [{SIZE}]}}, crop: [{SIZE}, {SIZE}]}}
"""


class Residual:
    """The network in a folder: ``net.pth`` with ``net.yaml``, samples, and ``x.info``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.card, self.info = folder, folder / "net.yaml", folder / "x.info"
        (folder / "residual_net.py").write_text(CODE)
        self.card.write_text(CARD)
        names: dict[str, Any] = {}
        exec(CODE, names)
        torch.manual_seed(1)
        self.net: nn.Module = names["Net"]().eval()
        for part in self.net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.uniform_(-0.3, 0.3)  # type: ignore[union-attr]
                part.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
        self.weights = folder / "net.pth"
        torch.save(self.net.state_dict(), self.weights)
        generator = np.random.default_rng(2)
        self.samples = generator.standard_normal((COUNT, 3, SIZE, SIZE)).astype(np.float32)
        for i, sample in enumerate(self.samples):
            sample.tofile(folder / f"s{i}.bin")
        self.info.write_text("".join(f"{i} {folder}/s{i}.bin\n" for i in range(COUNT)))

    def damaged(self, module: str, by: Callable[[torch.Tensor], torch.Tensor]) -> nn.Module:
        """The network with the weight of one module changed."""
        net = copy.deepcopy(self.net)
        with torch.no_grad():
            weight = net.get_submodule(module).weight
            weight.copy_(by(weight))  # type: ignore[operator, arg-type]
        return net

    def exported(self, name: str, net: nn.Module | None = None, fold: bool = True) -> Path:
        """The network as an ONNX file; without ``fold`` batch normalisation stays."""
        path = self.folder / name
        mode = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                net or self.net,
                (torch.from_numpy(self.samples[:1]),),
                str(path),
                input_names=["image"],
                output_names=["class"],
                dynamic_axes={"image": {0: "batch"}, "class": {0: "batch"}},
                opset_version=13,
                dynamo=False,
                training=mode,
            )
        return path

    def msprobe(self, net: nn.Module, name: str = "dump", leaves: bool = True) -> Path:
        """A dump as PrecisionDebugger writes it at level L0, one step a sample; ``leaves`` False
        lists the modules around others as well, as their calls begin.
        """
        root = self.folder / name
        for step, sample in enumerate(self.samples):
            folder = root / f"step{step}" / "rank"
            (folder / "dump_tensor_data").mkdir(parents=True)
            calls = recorded(net, torch.from_numpy(sample[None]), leaves)
            data = {}
            for call, (inputs, output) in calls.items():
                entry: dict[str, Any] = {"input_args": [], "input_kwargs": {}, "output": []}
                for part, tensors in (("input", inputs), ("output", [output])):
                    for at, tensor in enumerate(tensors):
                        file = f"{call}.{part}.{at}.pt"
                        torch.save(tensor, folder / "dump_tensor_data" / file)
                        entry["input_args" if part == "input" else "output"].append(
                            {
                                "type": "torch.Tensor",
                                "dtype": str(tensor.dtype),
                                "shape": list(tensor.shape),
                                "data_name": file,
                            }
                        )
                data[call] = entry
            head = {"task": "tensor", "level": "L0", "framework": "pytorch"}
            (folder / "dump.json").write_text(json.dumps({**head, "data": data}))
        return root


def recorded(
    net: nn.Module, sample: torch.Tensor, leaves: bool
) -> dict[str, tuple[list[torch.Tensor], torch.Tensor]]:
    """The calls of modules by msprobe's names."""
    calls: dict[str, Any] = {}
    count: dict[str, int] = {}
    stack: list[str] = []

    def before(part: nn.Module, inputs: Any, name: str) -> None:
        base = f"Module.{name}.{type(part).__name__}.forward"
        key = f"{base}.{count.get(base, 0)}"
        count[base] = count.get(base, 0) + 1
        stack.append(key)
        calls[key] = ([t.clone() for t in inputs], None)

    def after(part: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        key = stack.pop()
        calls[key] = (calls[key][0], output.clone())

    hooks = []
    for name, part in net.named_modules():
        if name and (not leaves or not list(part.children())):
            hooks.append(part.register_forward_pre_hook(lambda p, x, n=name: before(p, x, n)))
            hooks.append(part.register_forward_hook(after))
    with torch.no_grad():
        net(sample)
    for hook in hooks:
        hook.remove()
    return calls


def polygraphy(folder: Path, runs: Sequence[dict[str, Any]], inputs: Sequence[Any]) -> Path:
    """Outputs and inputs as Polygraphy's ``--save-outputs`` and ``--save-inputs`` write them."""
    folder.mkdir()

    def encoded(array: Any) -> dict[str, str]:
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        text = base64.b64encode(buffer.getvalue()).decode()
        return {"array": text, "polygraphy_class": "ndarray"}

    iterations = [
        {
            "outputs": {
                name: {"values": encoded(array), "polygraphy_class": "LazyArray"}
                for name, array in run.items()
            },
            "runtime": 0.001,
            "runner_name": "trt-runner-N0",
            "polygraphy_class": "IterationResult",
        }
        for run in runs
    ]
    results = {"lst": [["trt-runner-N0", iterations]], "polygraphy_class": "RunResults"}
    (folder / "outputs.json").write_text(json.dumps(results))
    (folder / "inputs.json").write_text(
        json.dumps([{"image": encoded(sample[None])} for sample in inputs])
    )
    return folder


def renamed(path: Path, target: Path) -> Path:
    """The file with numbers for names, which another exporter would count from 1."""
    model = onnx.load(path)
    new = {v.name: v.name for v in (*model.graph.input, *model.graph.output)}
    for node in model.graph.node:
        node.name = ""
        for name in node.output:
            new.setdefault(name, str(len(new)))
    for weight in model.graph.initializer:
        new[weight.name] = str(len(new))
        weight.name = new[weight.name]
    for node in model.graph.node:
        node.input[:] = [new.get(n, n) for n in node.input]
        node.output[:] = [new.get(n, n) for n in node.output]
    del model.graph.value_info[:]
    onnx.save(model, target)
    return target


def changed(path: Path, target: Path, weight: str, by: Callable[[Any], Any]) -> Path:
    """The file with one initializer changed, named by a part of its name or by what reads it."""
    model = onnx.load(path)
    names = {w.name for w in model.graph.initializer}
    node = next(n for n in model.graph.node if weight in (n.name, *n.output))
    name = next(i for i in node.input if i in names)
    tensor = next(w for w in model.graph.initializer if w.name == name)
    values = by(numpy_helper.to_array(tensor).copy()).astype(np.float32)
    tensor.CopyFrom(numpy_helper.from_array(values, name))
    onnx.save(model, target)
    return target
