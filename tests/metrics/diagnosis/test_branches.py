"""Faults of a network with a shortcut, a dilation, strides and a flattened layer, planted by torch.
The reference is an ONNX file in which batch normalisation stands as it is.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from .world import CLASSES, World

torch = pytest.importorskip("torch")
nn = torch.nn
COUNT = 24


class Branched(nn.Module):  # type: ignore[name-defined, misc]
    """Settings that a fault may change are attributes."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.stem, self.stem_norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.one, self.one_norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.two = nn.Conv2d(8, 8, 3, padding=2, dilation=2, bias=False)
        self.two_norm = nn.BatchNorm2d(8)
        self.narrow, self.down = nn.Conv2d(8, 6, 1), nn.Conv2d(6, 4, 3, stride=2, padding=1)
        self.head = nn.Linear(36, CLASSES)
        self.shortcut, self.order = True, (0, 1, 2, 3)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.stem_norm(self.stem(x)))
        y = torch.relu(self.one_norm(self.one(x)))
        y = self.two_norm(self.two(y))
        x = nn.functional.max_pool2d(torch.relu(y + x if self.shortcut else y), 4)
        x = torch.relu(self.down(torch.relu(self.narrow(x))))
        return self.head(x.permute(self.order).flatten(1))

    def norms(self) -> list[Any]:
        return [self.stem_norm, self.one_norm, self.two_norm]


class Branches(World):
    def __init__(self, folder: Path) -> None:
        self.net = Branched().eval()
        for norm in self.net.norms():
            norm.weight.data.uniform_(0.5, 2)
            norm.bias.data.uniform_(-0.5, 0.5)
        super().__init__(folder, COUNT)
        self.samples = np.stack([self.normalised(p) for p in self.pixels()]).astype(np.float32)
        for norm in self.net.norms():
            norm.momentum = None
        self.net.train()
        self.infer(self.samples)
        self.net.eval()
        self.net.head.weight.data *= 5
        self._save_model()
        self.right = self.infer(self.samples)
        self.labels = self.write_labels(self.right.argmax(axis=1))

    def infer(self, samples: np.ndarray, net: Any = None) -> np.ndarray:
        with torch.no_grad():
            return (net or self.net)(torch.from_numpy(samples.astype(np.float32))).numpy()

    def _save_model(self) -> None:
        if not hasattr(self, "samples"):
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                self.net, (torch.from_numpy(self.samples[:2]),), str(self.model), dynamo=False,
                opset_version=13, input_names=["image"], output_names=["class"],
                dynamic_axes={"image": {0: "batch"}, "class": {0: "batch"}},
                do_constant_folding=True, training=torch.onnx.TrainingMode.PRESERVE,
            )  # fmt: skip

    def changed(self, change: Callable[[Any], object]) -> np.ndarray:
        net = copy.deepcopy(self.net)
        change(net)
        return self.infer(self.samples, net)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Branches:
    made = Branches(tmp_path_factory.mktemp("branches"))
    operators = {n.op_type for n in onnx.load(made.model).graph.node}
    assert {"BatchNormalization", "Add"} <= operators
    return made


def without_dilation(net: Any) -> None:
    net.two.dilation, net.two.padding = (1, 1), (1, 1)


def other_strides(net: Any) -> None:
    net.narrow.stride, net.down.stride = (2, 2), (1, 1)


def exchanged(net: Any) -> None:
    one, two = net.one.weight.data, net.two.weight.data
    net.one.weight.data, net.two.weight.data = two, one


def kernels(change: Callable[[Any], Any], *layers: str) -> Callable[[Any], None]:
    def changed(net: Any) -> None:
        for name in layers:
            weight = getattr(net, name).weight
            weight.data = change(weight.data).clone()

    return changed


def kept_as_hwio(weight: Any) -> Any:
    return weight.permute(2, 3, 1, 0).reshape(weight.shape)


#: fault, a word of the evidence, how it is made
CHANGES: dict[str, tuple[str, str, Callable[[Any], object]]] = {
    "no shortcut": ("residual", "left out", lambda n: setattr(n, "shortcut", False)),
    "no dilation": ("dilation", "without its dilation", without_dilation),
    "strides": ("stride", "1 pairs", other_strides),
    "flattened as HWC": ("layer-kernel", "flattened as HWC",
                         lambda n: setattr(n, "order", (0, 2, 3, 1))),
    "exchanged": ("layer-weights", "with each other's weights", exchanged),
    "square matrix": ("layer-kernel", "IOHW",
                      kernels(lambda w: w.transpose(0, 1), "one")),
    "all kept as HWIO": ("layer-kernel", "5 layers",
                         kernels(kept_as_hwio, "stem", "one", "two", "narrow", "down")),
    "epsilon": ("bn-epsilon", "an epsilon of 0.05",
                lambda n: [setattr(m, "eps", 0.05) for m in n.norms()]),
    "variances": ("bn-var", "variances", lambda n: [m.running_var.fill_(1) for m in n.norms()]),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_faults_of_operators_and_of_the_order_of_weights(world: Branches, name: str) -> None:
    fault, said, change = CHANGES[name]
    diagnosis = world.diagnose(world.changed(change))
    assert [f.fault for f in diagnosis.faults] == [fault], diagnosis.to_text()
    assert said in diagnosis.faults[0].evidence
    assert diagnosis.faults[0].accuracy_after == 1


def test_the_network_itself_is_sound(world: Branches) -> None:
    diagnosis = world.diagnose(world.right.astype(np.float16))
    assert diagnosis.fault == "none" and diagnosis.verdict == "PASS", diagnosis.to_text()
