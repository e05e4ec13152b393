"""Faults inside a model, planted by torch: each has its name. The reference is an ONNX file whose
batch normalisation is folded, as converters leave it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from portproof.metrics.diagnosis.model.origin import weights_of
from portproof.proof.work import Work

from .world import CLASSES, SIZE, World

torch = pytest.importorskip("torch")
COUNT = 40
Net = Any


class Layered(World):
    """Two convolutions with batch normalisation, and a linear layer, with random weights."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(3)
        nn = torch.nn
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, CLASSES),
        )  # fmt: skip
        self.net[9].weight.data *= 5
        self.net[9].bias.data *= 5
        for norm in (self.net[1], self.net[5]):
            norm.weight.data.uniform_(0.5, 2)
            norm.bias.data.uniform_(-0.5, 0.5)
        self.net.eval()
        super().__init__(folder, COUNT)
        self.samples = np.stack([self.normalised(p) for p in self.pixels()])
        self._learn_statistics()
        self._save_model()
        self.right = self.infer(self.samples)
        self.labels = self.write_labels(self.right.argmax(axis=1))

    def _learn_statistics(self) -> None:
        for norm in (self.net[1], self.net[5]):
            norm.reset_running_stats()
            norm.momentum = None
        self.net.train()
        self.infer(self.samples)
        self.net.eval()

    def infer(self, samples: np.ndarray) -> np.ndarray:
        return self.ran(self.net, samples, COUNT)

    @staticmethod
    def ran(net: Net, samples: np.ndarray, batch: int) -> np.ndarray:
        with torch.no_grad():
            parts = [net(p) for p in torch.from_numpy(samples.astype(np.float32)).split(batch)]
        return torch.cat(parts).numpy()

    def _save_model(self) -> None:
        weights: dict[str, np.ndarray] = {}
        for name, conv, norm in (("a", self.net[0], self.net[1]), ("b", self.net[4], self.net[5])):
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            weights[f"{name}w"] = (conv.weight * scale[:, None, None, None]).detach().numpy()
            weights[f"{name}b"] = (norm.bias - norm.running_mean * scale).detach().numpy()
        weights["cw"] = self.net[9].weight.detach().numpy()
        weights["cb"] = self.net[9].bias.detach().numpy()
        pads = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        nodes = [
            helper.make_node("Conv", ["image", "aw", "ab"], ["a"], name="conv_a", **pads),
            helper.make_node("Relu", ["a"], ["ar"], name="relu_a"),
            helper.make_node("MaxPool", ["ar"], ["ap"], name="pool_a", kernel_shape=[2, 2],
                             strides=[2, 2]),
            helper.make_node("Conv", ["ap", "bw", "bb"], ["b"], name="conv_b", **pads),
            helper.make_node("Relu", ["b"], ["br"], name="relu_b"),
            helper.make_node("GlobalAveragePool", ["br"], ["bp"], name="mean"),
            helper.make_node("Flatten", ["bp"], ["bf"]),
            helper.make_node("Gemm", ["bf", "cw", "cb"], ["class"], name="linear", transB=1),
        ]  # fmt: skip
        shape = ["batch", 3, SIZE, SIZE]
        graph = helper.make_graph(
            nodes,
            "layered",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("class", TensorProto.FLOAT, ["batch", CLASSES])],
            [numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in weights.items()],
        )
        opset = [helper.make_opsetid("", 11)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), self.model)

    def changed(self, change: Callable[[Net], object], batch: int = COUNT) -> np.ndarray:
        """What the network answers after a change."""
        return self.ran(self.with_change(change), self.samples, batch)

    def with_change(self, change: Callable[[Net], object]) -> Net:
        """A copy of the network that was changed."""
        net = copy.deepcopy(self.net)
        change(net)
        return net


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Layered:
    return Layered(tmp_path_factory.mktemp("layered"))


def put(at: int, layer: Callable[[], Any]) -> Callable[[Net], object]:
    return lambda net: net.__setitem__(at, layer())


def bit(layer: int, place: int, number: int) -> Callable[[Net], object]:
    def change(net: Net) -> None:
        one = net[layer].weight.data.view(-1)[place : place + 1].view(torch.int32)
        one ^= 1 << number

    return change


def rewritten(layer: int, change: Callable[[Any], Any]) -> Callable[[Net], object]:
    """The layer's weights in another order."""
    return lambda net: setattr(net[layer].weight, "data", change(net[layer].weight.data).clone())


def batch_statistics(net: Net) -> None:
    net[1].train()
    net[5].train()


#: fault, a word of the evidence, how it is made
CHANGES: dict[str, tuple[str, str, Callable[[Net], object]]] = {
    "leaky ReLU": ("activation", "relu_b", put(6, lambda: torch.nn.LeakyReLU(0.1))),
    "no activation": ("activation", "relu_a: no activation", put(2, torch.nn.Identity)),
    "one GELU": ("activation", "gelu", put(2, torch.nn.GELU)),
    "mean for largest": ("pooling", "pool_a", put(3, lambda: torch.nn.AvgPool2d(2))),
    "largest for mean": ("pooling", "mean", put(7, lambda: torch.nn.AdaptiveMaxPool2d(1))),
    "doubled": ("layer-weights", "conv_b", lambda n: n[4].weight.data.mul_(2)),
    "negated": ("layer-weights", "times -1", lambda n: n[4].weight.data.mul_(-1)),
    "kernels flipped": ("layer-kernel", "conv_b: its kernels flipped", rewritten(
        4, lambda w: w.flip(2, 3))),
    "kernels transposed": ("layer-kernel", "conv_a: height and width", rewritten(
        0, lambda w: w.transpose(2, 3))),
    "inputs reversed": ("layer-channels", "channels reversed", rewritten(
        4, lambda w: w.flip(1))),
    "matrix read as its transpose": ("layer-kernel", "linear: its weights", rewritten(
        9, lambda w: w.t().reshape(w.shape))),
    "no bias": ("layer-bias", "linear", lambda n: n[9].bias.data.zero_()),
    "sign bit": ("weight-damaged", "bit 31", bit(9, 17, 31)),
    "exponent bit": ("weight-damaged", "linear", bit(9, 30, 24)),
    "another head": ("layer-weights", "linear with other weights", lambda n: (
        torch.manual_seed(5), n[9].reset_parameters())),
    "a head of 2 bits": ("layer-weights", "linear with other weights", rewritten(
        9, lambda w: torch.round(w / w.abs().max()) * w.abs().max())),
    "edges padded": ("padding", "edge", lambda n: setattr(n[4], "padding_mode", "replicate")
                     or setattr(n[4], "_reversed_padding_repeated_twice", [1, 1, 1, 1])),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_faults_inside_the_model(world: Layered, name: str) -> None:
    fault, said, change = CHANGES[name]
    diagnosis = world.diagnose(world.changed(change))
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert said in diagnosis.faults[0].evidence
    assert diagnosis.faults[0].accuracy_after == 1 and len(diagnosis.faults) == 1


def test_kernels_turned_everywhere_are_turned_pictures_too(world: Layered) -> None:
    def change(net: Net) -> None:
        for at in (0, 4):
            rewritten(at, lambda w: w.flip(3))(net)

    diagnosis = world.diagnose(world.changed(change))
    assert diagnosis.fault == "mirrored", diagnosis.to_text()
    assert diagnosis.faults[0].alike == ["layer-kernel"] and len(diagnosis.faults) == 1


#: The network of Layered, as a card's builder makes it.
BUILDER = f"""
from torch import nn

def build():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, {CLASSES}),
    )
"""


@pytest.fixture
def exported(world: Layered) -> Iterator[Path]:
    """The weights that the reference was exported from, which its sidecar names."""
    weights, code = world.folder / "weights.pth", world.folder / "small.py"
    code.write_text(BUILDER, "ascii")
    torch.save(world.net.state_dict(), weights)
    work = Work("export", world.model, inputs={"weights": [weights]}, parameters={}, packages=())
    work.begin()
    work.finish([world.model], {})
    yield weights
    work.sidecar.unlink()
    code.unlink()


def filled(name: str, value: float) -> Callable[[Net], object]:
    return lambda net: [getattr(net[i], name).data.fill_(value) for i in (1, 5)]


def with_epsilon(value: float) -> Callable[[Net], object]:
    return lambda net: [setattr(net[i], "eps", value) for i in (1, 5)]


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("bn-var", filled("running_var", 1)),
        ("bn-weight", filled("weight", 1)),
        ("bn-var", lambda net: net[5].running_var.fill_(1)),
        ("bn-epsilon", with_epsilon(0.05)),
        ("bn-epsilon", lambda net: setattr(net[5], "eps", 0.1)),
        ("layer-channels", rewritten(4, lambda w: w.flip(0))),
        ("layer-kernel", rewritten(4, lambda w: w.permute(2, 3, 1, 0).reshape(w.shape))),
    ],
)
def test_a_folded_reference_whose_weights_are_known(
    world: Layered, exported: Path, fault: str, change: Callable[[Net], object]
) -> None:
    diagnosis = world.diagnose(world.changed(change))
    assert [f.fault for f in diagnosis.faults] == [fault], diagnosis.to_text()
    assert diagnosis.faults[0].accuracy_after == 1


def test_weights_that_are_others_now_are_not_used(world: Layered, exported: Path) -> None:
    assert weights_of(world.model) == exported
    kept = exported.read_bytes()
    exported.write_bytes(kept + b" ")
    assert weights_of(world.model) is None
    exported.write_bytes(kept)
    kept = world.model.read_bytes()
    world.model.write_bytes(kept + b" ")
    assert weights_of(world.model) is None
    world.model.write_bytes(kept)


def test_statistics_of_the_batch(world: Layered) -> None:
    diagnosis = world.diagnose(world.changed(batch_statistics, 4))
    assert diagnosis.fault == "bn-batch", diagnosis.to_text()
    assert "batches of 4" in diagnosis.faults[0].evidence
    assert "model.eval()" in diagnosis.faults[0].fix


def test_other_arithmetic_is_no_fault(world: Layered) -> None:
    rows = world.ran(world.net, world.samples, 7)
    diagnosis = world.diagnose(rows.astype(np.float16))
    assert diagnosis.fault == "none" and diagnosis.verdict == "PASS", diagnosis.to_text()


@pytest.mark.parametrize("epsilon", [3e-4, 1e-3, 3e-3])
def test_a_small_difference_inside_is_not_called_other_constants(
    world: Layered, epsilon: float
) -> None:
    """Six free numbers come near to every small difference, and near is not enough for a name."""

    def change(net: Net) -> None:
        net[1].eps = net[5].eps = epsilon

    found = {f.fault for f in world.diagnose(world.changed(change)).faults}
    assert not found & {"normalisation-constants", "levels", "gamma"}, found


def test_what_nothing_gives_is_detected_and_not_named(
    world: Layered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portproof.metrics.diagnosis.steps.pairs._SECONDS", 0.5)
    monkeypatch.setattr("portproof.metrics.diagnosis.preprocessing._FITS_S", 0.5)
    monkeypatch.setattr("portproof.metrics.diagnosis.search._WORK_S", 3.0)

    def other(net: Net) -> None:
        torch.manual_seed(9)
        net[4].weight.data.normal_(0, float(net[4].weight.data.std()))

    diagnosis = world.diagnose(world.changed(other))
    assert diagnosis.fault == "unexplained" and diagnosis.verdict == "FAIL", diagnosis.to_text()
    assert "metrics/layers.py" in diagnosis.faults[0].fix
