"""The faults that are planted inside the model, each with the names by which a diagnosis may call
it, and sound ports of 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from faults_files import quantised_file, rescale
from faults_planted import CONTROLS, Change, Fault, fault, model
from faults_world import Kind, in_batches, sound


def _norms(net: torch.nn.Module) -> list[torch.nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def _weighted(net: torch.nn.Module) -> list[Any]:
    return [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]


def _replaced(kind: type, made: Callable[[], torch.nn.Module], only: int | None = None) -> Change:
    def change(net: torch.nn.Module) -> None:
        at = [i for i, m in enumerate(net) if isinstance(m, kind)]  # type: ignore[arg-type]
        for i in at if only is None else [at[only]]:
            net[i] = made()  # type: ignore[index]

    return model(change)


def _training(net: torch.nn.Module) -> None:
    for norm in _norms(net):
        norm.train()


def _filled(attribute: str, value: float, only: int | None = None) -> Change:
    def change(net: torch.nn.Module) -> None:
        norms = _norms(net)
        for norm in norms if only is None else [norms[only]]:
            getattr(norm, attribute).data.fill_(value)

    return model(change)


def _edges(net: torch.nn.Module) -> None:
    conv = _weighted(net)[1]
    conv.padding_mode, conv._reversed_padding_repeated_twice = "replicate", [1, 1, 1, 1]


def _times(layer: int, factor: float) -> Change:
    return model(lambda net: _weighted(net)[layer].weight.data.mul_(factor))


def _kernel(layer: int, change: Callable[[Any], Any]) -> Change:
    return model(lambda net: _set(_weighted(net)[layer].weight, change))


def _set(weight: Any, change: Callable[[Any], Any]) -> None:
    weight.data = change(weight.data).clone()


def _flipped(layer: int, at: float, bit: int) -> Change:
    def change(net: torch.nn.Module) -> None:
        flat = _weighted(net)[layer].weight.data.view(-1)
        place = int(len(flat) * at)
        number = flat[place : place + 1].view(torch.int32)
        number ^= 1 << bit

    return model(change)


def _int8(factor: float) -> Change:
    """Every output of a layer in 8 bits, with a range that is so many times too wide."""

    def change(net: torch.nn.Module) -> None:
        for layer in (m for m in net.modules() if isinstance(m, torch.nn.ReLU | torch.nn.Linear)):
            layer.register_forward_hook(
                lambda m, i, o: _levels(o, float(o.abs().max()) * factor / 127)
            )
        for weighted in _weighted(net):
            top = weighted.weight.data.abs().amax(
                dim=tuple(range(1, weighted.weight.dim())), keepdim=True
            )
            weighted.weight.data = _levels(weighted.weight.data, top / 127)

    return model(change)


def _levels(values: Any, step: Any) -> Any:
    return torch.clamp(torch.round(values / step), -128, 127) * step


fault("model", "BN statistics of the batch", "bn-batch", model(_training))
fault(
    "model", "BN statistics of batches of 4", "bn-batch",
    lambda p, k: (p.model.append(_training), setattr(p, "run", lambda n, s: in_batches(n, s, 4))),
)  # fmt: skip
fault("model", "BN means not loaded", "bn-mean", _filled("running_mean", 0))
fault("model", "BN variances not loaded", "bn-var", _filled("running_var", 1))
fault("model", "BN weights not loaded", "bn-weight", _filled("weight", 1))
fault("model", "BN biases not loaded", "bn-bias", _filled("bias", 0))
fault("model", "BN variances of one layer", "bn-var", _filled("running_var", 1, 1))
fault("model", "BN weights of one layer", "bn-weight", _filled("weight", 1, 2))
fault("model", "BN mean of one layer", "bn-mean layer-bias", _filled("running_mean", 0, 1))
fault("model", "one leaky ReLU", "activation",
      _replaced(torch.nn.ReLU, lambda: torch.nn.LeakyReLU(0.1), 1))  # fmt: skip
for _word, _made in {
    "leaky ReLU": lambda: torch.nn.LeakyReLU(0.1),
    "GELU": torch.nn.GELU,
    "SiLU": torch.nn.SiLU,
    "ReLU6": torch.nn.ReLU6,
    "ELU": torch.nn.ELU,
}.items():
    fault("model", f"{_word} everywhere", "activation", _replaced(torch.nn.ReLU, _made))
for _only in (0, 1, 2):
    fault("model", f"no activation {_only + 1}", "activation",
          _replaced(torch.nn.ReLU, torch.nn.Identity, _only))  # fmt: skip
fault("model", "one GELU", "activation", _replaced(torch.nn.ReLU, torch.nn.GELU, 0))
fault("model", "one hard swish", "activation", _replaced(torch.nn.ReLU, torch.nn.Hardswish, 2))
fault("model", "one mean for a largest", "pooling",
      _replaced(torch.nn.MaxPool2d, lambda: torch.nn.AvgPool2d(2), 1))  # fmt: skip
fault("model", "largest for the mean at the end", "pooling",
      _replaced(torch.nn.AdaptiveAvgPool2d, lambda: torch.nn.AdaptiveMaxPool2d(1)))  # fmt: skip
for _layer in range(4):
    fault("model", f"weights of layer {_layer + 1} doubled", "layer-weights", _times(_layer, 2))
fault("model", "weights of layer 2 times 1.3", "layer-weights", _times(1, 1.3))
fault("model", "weights of layer 3 negated", "layer-weights", _times(2, -1))
fault("model", "bias of the last layer missing", "layer-bias",
      model(lambda n: _weighted(n)[-1].bias.data.zero_()))  # fmt: skip
fault("model", "bias of the last layer doubled", "layer-bias",
      model(lambda n: _weighted(n)[-1].bias.data.mul_(4)))  # fmt: skip
fault("model", "edges instead of zeros", "padding",
      model(_edges))  # fmt: skip
for _layer in (0, 1, 2):
    fault("model", f"kernels of layer {_layer + 1} flipped", "layer-kernel",
          _kernel(_layer, lambda w: w.flip(2, 3)))  # fmt: skip
    fault("model", f"kernels of layer {_layer + 1} transposed", "layer-kernel",
          _kernel(_layer, lambda w: w.transpose(2, 3).contiguous()))  # fmt: skip
#: Turned kernels everywhere are a turned picture where the network ends in a mean.
_WEIGHTS: dict[str, tuple[str, tuple[int, ...], Callable[[Any], Any]]] = {
    "kernels of layer 1 mirrored": ("layer-kernel", (0,), lambda w: w.flip(3)),
    "kernels of layer 2 upside down": ("layer-kernel", (1,), lambda w: w.flip(2)),
    "kernels of layer 3 turned by 90": ("layer-kernel", (2,), lambda w: w.rot90(1, (2, 3))),
    "kernels of all layers flipped": ("layer-kernel rotated", (0, 1, 2), lambda w: w.flip(2, 3)),
    "kernels of all layers mirrored": ("layer-kernel mirrored", (0, 1, 2), lambda w: w.flip(3)),
    "kernels of two layers flipped": ("layer-kernel", (1, 2), lambda w: w.flip(2, 3)),
    "kernels of layer 1 kept as HWIO": (
        "layer-kernel", (0,), lambda w: w.permute(2, 3, 1, 0).reshape(w.shape)),
    "kernels of layer 2 kept as OHWI": (
        "layer-kernel", (1,), lambda w: w.permute(0, 2, 3, 1).reshape(w.shape)),
    "kernels of layer 3 read as HWIO": (
        "layer-kernel", (2,),
        lambda w: w.reshape(3, 3, w.shape[1], w.shape[0]).permute(3, 2, 0, 1)),
    "kernels of layer 2 read as IOHW": (
        "layer-kernel", (1,),
        lambda w: w.reshape(w.shape[1], w.shape[0], 3, 3).transpose(0, 1)),
    "kernels of layer 3 kept in the order of Fortran": (
        "layer-kernel", (2,), lambda w: w.permute(3, 2, 1, 0).reshape(w.shape)),
    "kernels of all layers kept as HWIO": (
        "layer-kernel", (0, 1, 2), lambda w: w.permute(2, 3, 1, 0).reshape(w.shape)),
    "kernels of all layers read as OHWI": (
        "layer-kernel", (0, 1, 2),
        lambda w: w.reshape(w.shape[0], 3, 3, w.shape[1]).permute(0, 3, 1, 2)),
    "matrix of the last layer transposed": ("layer-kernel", (3,), lambda w: w.t().reshape(w.shape)),
    "input channels of layer 2 reversed": ("layer-channels layer-kernel", (1,),
                                           lambda w: w.flip(1)),
    "input channels of layer 3 reversed": ("layer-channels", (2,), lambda w: w.flip(1)),
    "input channels of layer 3 moved": ("layer-channels", (2,), lambda w: w.roll(1, 1)),
    "input channels of layer 3 in 4 groups": (
        "layer-channels", (2,),
        lambda w: w.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2)),
    "inputs of the last layer reversed": ("layer-channels", (3,), lambda w: w.flip(1)),
    "output channels of layer 2 reversed": ("layer-channels", (1,), lambda w: w.flip(0)),
    "output channels of layer 3 reversed": ("layer-channels", (2,), lambda w: w.flip(0)),
    "output channels of layer 1 in 2 groups": (
        "layer-channels", (0,),
        lambda w: w.unflatten(0, (2, -1)).transpose(0, 1).flatten(0, 1)),
}  # fmt: skip
for _name, (_names, _layers, _change) in _WEIGHTS.items():
    fault("model", _name, _names, model(lambda n, ls=_layers, c=_change: [
        _set(_weighted(n)[i].weight, c) for i in ls]))  # fmt: skip
for _epsilon in (1e-3, 1e-2, 0.03, 0.1):
    fault("model", f"BN epsilon {_epsilon}", "bn-epsilon bn-var",
          model(lambda n, e=_epsilon: [setattr(m, "eps", e) for m in _norms(n)]))  # fmt: skip
fault("model", "BN epsilon of one layer 0.1", "bn-epsilon",
      model(lambda n: setattr(_norms(n)[1], "eps", 0.1)))  # fmt: skip
for _layer, _at, _bit in (
    *((0, 0.3, 30), (1, 0.5, 30), (2, 0.7, 30), (3, 0.4, 30), (1, 0.21, 26), (2, 0.33, 26)),
    *((3, 0.6, 27), (0, 0.8, 25), (1, 0.9, 31), (3, 0.1, 31)),
):
    fault("model", f"bit {_bit} of a weight of layer {_layer + 1}", "weight-damaged",
          _flipped(_layer, _at, _bit))  # fmt: skip
for _factor in (8, 16, 40):
    fault("model", f"int8 ranges {_factor} times too wide", "int8-ranges", _int8(_factor))


def _int8_file(method: str, factor: float, only: int | None = None) -> Change:
    """A file of 8 bits by ONNX Runtime's quantizer, the scales of its activations, or that of one,
    times a factor.
    """

    def made(kind: Kind, reference: Path) -> Path:
        path = reference.with_name(f"int8_{method}_{factor}_{only}.onnx")
        if not path.is_file():
            quantised_file(reference, path, method, sound(kind).sample)
            rescale(path, factor, only)
        return path

    return lambda p, k: setattr(p, "file", lambda reference: made(k, reference))


for _factor in (4, 8, 16):
    fault("model", f"int8 file, ranges {_factor} times too wide", "int8-ranges",
          _int8_file("Percentile", _factor))  # fmt: skip
fault("model", "int8 file, the input's range 16 times too wide", "int8-ranges",
      _int8_file("MinMax", 16, 0))  # fmt: skip
fault("model", "int8 file, ranges cut to a third", "int8-ranges",
      _int8_file("MinMax", 1 / 3))  # fmt: skip

CONTROLS += [
    Fault("int8", "", frozenset(), _int8(1.0)),
    Fault("int8, ranges twice as wide", "", frozenset(), _int8(2.0)),
    Fault("int8 file, minmax", "", frozenset(), _int8_file("MinMax", 1.0)),
    Fault("int8 file, percentile", "", frozenset(), _int8_file("Percentile", 1.0)),
    Fault("int8 file, ranges twice as wide", "", frozenset(), _int8_file("MinMax", 2.0)),
]
