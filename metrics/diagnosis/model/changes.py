"""Changes that faulty conversions and loaders make inside a model, as models that can be run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.activations import FUNCTIONS, STEPS, nodes_of
from portproof.metrics.diagnosis.model.network import Array, Bend, Layer, Network

FIXES = {
    "activation": "convert the model again with the activation that it was trained with: look at"
    " the converter's replacements (approximate GELU, ReLU6 for ReLU, a fused activation left out)"
    " and at the options of the model's builder",
    "layer-weights": "load and convert the weights again and compare this layer's with the"
    " checkpoint's: look for a scale that is folded into them twice or not at all, and for names"
    " that point at another layer",
    "layer-kernel": "read the weights of this layer in the order in which they were written: look"
    " for a transposition that is left out or done twice (OIHW and HWIO, a matrix and its"
    " transpose), for kernels that are flipped, and for the layout of what is flattened",
    "layer-bias": "load and convert the bias of this layer again: look for load_state_dict with"
    " strict=False, and for a bias that a fusion drops or adds twice",
    "layer-channels": "keep the order of this layer's channels: look for a concatenation or a"
    " shuffle that was reordered, and for its number of groups",
    "residual": "keep both sides of this addition: look for a shortcut that the converter or a"
    " pruning took away",
    "dilation": "convert this convolution with its dilation: look for an operator that ignores it",
    "stride": "put the stride where the model has it: on the 3 x 3 convolution of a block, or on"
    " the one in front of it",
    "pooling": "convert this pooling as the model has it: mean or largest, ceil_mode,"
    " count_include_pad",
    "padding": "pad as the model does: padding mode, and which side gets the odd pixel",
    "bn-batch": "call model.eval() before exporting, and export without training=...: batch"
    " normalisation must use its running statistics",
    "bn-epsilon": "give batch normalisation the epsilon that it was trained with (1e-5 in PyTorch,"
    " 1e-3 in Keras): take it from the model, not from the framework's default",
    "bn-mean": "load the running_mean of batch normalisation: look for load_state_dict with"
    " strict=False, or for buffers left out of the checkpoint",
    "bn-var": "load the running_var of batch normalisation: look for load_state_dict with"
    " strict=False, or for buffers left out of the checkpoint",
    "bn-weight": "load the weight (gamma) of batch normalisation: look for its name in the"
    " checkpoint, and for affine=False",
    "bn-bias": "load the bias (beta) of batch normalisation: look for its name in the checkpoint,"
    " and for affine=False",
    "int8-ranges": "calibrate again with real, preprocessed samples and ranges without outliers"
    " (percentile or entropy), or take the range of this layer from its data type",
    "weight-damaged": "copy the weights file again and compare its SHA-256: a bit of it is flipped",
}
#: Weights in circulation that are so many times too large.
_FACTORS = (-1.0, 0.0, 0.1, 0.25, 0.5, 0.75, 1.5, 2.0, 3.0, 4.0, 10.0)
_BIAS_FACTORS = (0.0, 2.0, -1.0, 4.0)
_WIDTHS = (4, 8, 16, 32, 64)


def _shuffled(y: Array, axis: int, groups: int) -> Array:
    count = y.shape[axis]
    if count % groups:
        return y
    return y.take(np.arange(count).reshape(groups, -1).T.ravel(), axis)


_CHANNELS: dict[str, Callable[..., Array]] = {
    "moved by one": partial(np.roll, shift=1),
    "moved by one back": partial(np.roll, shift=-1),
    "reversed": np.flip,
    "in two halves that are exchanged": lambda y, axis: np.roll(y, y.shape[axis] // 2, axis),
    "shuffled in 2 groups": partial(_shuffled, groups=2),
    "shuffled in 4 groups": partial(_shuffled, groups=4),
}


@dataclass(frozen=True)
class Changed:
    """``fault``, ``words`` for the evidence, and ``run``: samples, so many as ``batch`` together,
    to (samples, numbers).
    """

    fault: str
    words: str
    run: Callable[[Array], Rows]
    batch: int = 32


@dataclass(frozen=True)
class Variant:
    """One tensor made otherwise, of its own values."""

    fault: str
    words: str
    make: Callable[[Array], Array]


def layer_variants(network: Network, layer: Layer) -> Iterator[Variant]:
    """The output of a layer with its weights or its bias at fault."""
    for factor in _FACTORS:
        yield scaled(network, layer, factor)
    if layer.bias is not None:
        bias = network.weights[layer.bias].astype(np.float32)
        for factor in _BIAS_FACTORS:
            words = "without its bias" if not factor else f"with its bias times {factor:g}"
            shift = _along(bias * (factor - 1), layer)
            yield Variant("layer-bias", f"{layer.name} {words}", partial(_shifted, by=shift))
        gone = "batch normalisation without its mean"
        yield Variant("bn-mean", f"{layer.name}: {gone}", _without_mean(bias, layer))
    # Of the layer that gives the outputs, this is an order of the classes.
    for words, change in _CHANNELS.items() if layer.output != network.output else ():
        yield Variant("layer-channels", f"{layer.name} with its channels {words}",
                      partial(change, axis=layer.axis))  # fmt: skip


def scaled(network: Network, layer: Layer, factor: float) -> Variant:
    """The layer with its weights times a factor."""
    bias = network.weights[layer.bias] if layer.bias else np.zeros(1, np.float32)
    shift = _along(bias.astype(np.float32), layer)
    return Variant(
        "layer-weights",
        f"{layer.name} with its weights times {factor:g}",
        lambda y: (y - shift(y)) * np.float32(factor) + shift(y),
    )


def _shifted(y: Array, by: Callable[[Array], Array]) -> Array:
    return np.asarray(y + by(y))


def _along(numbers: Array, layer: Layer) -> Callable[[Array], Array]:
    """Numbers of the channels in a shape that goes with an output."""

    def shaped(y: Array) -> Array:
        shape = [1] * y.ndim
        shape[layer.axis] = len(numbers) if len(numbers) == y.shape[layer.axis] else 1
        return numbers.reshape(shape) if numbers.size == shape[layer.axis] else np.zeros(shape)

    return shaped


def _without_mean(bias: Array, layer: Layer) -> Callable[[Array], Array]:
    """A mean that is not subtracted: the folded bias is then that of the batch normalisation, which
    is about the mean of what the layer gives.
    """

    def made(y: Array) -> Array:
        axes = tuple(i for i in range(y.ndim) if i != layer.axis % y.ndim)
        shift = y.mean(axis=axes, keepdims=True) - _along(bias, layer)(y)
        return np.asarray(y + shift, np.float32)

    return made


def bend_variants(bend: Bend) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    """Other activations in one place, as functions of what it reads."""
    for name, function in FUNCTIONS.items():
        if name != bend.kind:
            yield name, function


def everywhere(network: Network) -> Iterator[Changed]:
    """Every activation of a kind replaced at once."""
    for kind in dict.fromkeys(b.kind for b in network.bends):
        bends = [b for b in network.bends if b.kind == kind]
        if len(bends) < 2:
            continue
        for name, steps in STEPS.items():
            if name != kind:
                words = f"{name} for {kind} in all {len(bends)} places"
                yield Changed("activation", words, _with_bends(network, bends, steps))


def _with_bends(network: Network, bends: list[Bend], steps: Any) -> Callable[[Array], Rows]:
    def run(samples: Array) -> Rows:
        model = network.copy()
        nodes = list(model.graph.node)
        for bend in bends:
            made, constants = nodes_of(steps, bend.source, bend.output)
            model.graph.initializer.extend(constants)
            nodes[bend.at[-1]] = made
        flat = [m for n in nodes for m in (n if isinstance(n, list) else [n])]
        del model.graph.node[:]
        model.graph.node.extend(flat)
        return network.rows(model, samples)

    return run


def normalisations(network: Network, samples: Array, batches: list[int]) -> Iterator[Changed]:
    """Batch normalisation with statistics of the batch, or without a part of what it learnt.

    Folded into convolutions, its bias and weight are about the mean and the spread of what the
    layer gives for usual samples; where it stands in the file, only statistics are done here.
    """
    layers = [y for y in network.layers if y.op == "Conv" and y.bias is not None]
    normal = [n.output[0] for n in network.model.graph.node if n.op_type == "BatchNormalization"]
    names = normal or [layer.output for layer in layers]
    if not names:
        return
    made = network.values(samples, names)
    spatial = {n: tuple(i for i in range(a.ndim) if i != 1) for n, a in made.items()}
    mean = {n: a.mean(axis=spatial[n], keepdims=True) for n, a in made.items()}
    std = {n: a.std(axis=spatial[n], keepdims=True) + 1e-6 for n, a in made.items()}
    for batch in batches:
        yield Changed("bn-batch", f"batch normalisation by the statistics of batches of {batch}",
                      _by_batch(network, names, mean, std), batch)  # fmt: skip
    if normal:  # the rest can be done exactly
        return
    ones = {n: np.ones_like(a) for n, a in mean.items()}
    folded = {y.output: network.weights[y.bias or ""].reshape(mean[y.output].shape)
              for y in layers}  # fmt: skip
    yield Changed("bn-mean", "batch normalisation without its means",
                  _affine(network, ones, {n: mean[n] - folded[n] for n in names}))  # fmt: skip
    yield Changed("bn-bias", "batch normalisation without its biases",
                  _affine(network, ones, {n: -mean[n] for n in names}))  # fmt: skip
    yield Changed("bn-weight", "batch normalisation without its weights",
                  _affine(network, {n: 1 / std[n] for n in names},
                          {n: mean[n] * (1 - 1 / std[n]) for n in names}))  # fmt: skip


Constants = dict[str, Array]


def _affine(network: Network, factor: Constants, shift: Constants) -> Callable[[Array], Rows]:
    """Tensors times factors plus shifts."""
    return _following(
        network,
        list(shift),
        lambda name: [("Mul", ["x", factor[name]], {}), ("Add", [0, shift[name]], {})],
    )


def _by_batch(
    network: Network, names: list[str], mean: Constants, std: Constants
) -> Callable[[Array], Rows]:
    def steps(name: str) -> list[Any]:
        axes = [i for i in range(mean[name].ndim) if i != 1]
        return [
            ("ReduceMean", ["x"], {"axes": axes, "keepdims": 1}),
            ("Sub", ["x", 0], {}),
            ("Mul", [1, 1], {}),
            ("ReduceMean", [2], {"axes": axes, "keepdims": 1}),
            ("Add", [3, 1e-5], {}),
            ("Sqrt", [4], {}),
            ("Div", [1, 5], {}),
            ("Mul", [6, std[name]], {}),
            ("Add", [7, mean[name]], {}),
        ]

    return _following(network, names, steps)


def _following(
    network: Network, names: list[str], steps: Callable[[str], list[Any]]
) -> Callable[[Array], Rows]:
    """Operators put behind tensors; whatever read a tensor reads what they make of it."""

    def run(samples: Array) -> Rows:
        model = network.copy()
        nodes: list[Any] = []
        for node in model.graph.node:
            nodes.append(node)
            for i, output in enumerate(node.output):
                if output in names:
                    node.output[i] = f"{output}, before"
                    made, constants = nodes_of(steps(output), f"{output}, before", output)
                    model.graph.initializer.extend(constants)
                    nodes += made
        kept = [type(n).FromString(n.SerializeToString()) for n in nodes]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        return network.rows(model, samples)

    return run


def coarse_ranges(network: Network, samples: Array) -> Iterator[Changed]:
    """8 bits whose ranges are too wide, behind every activation and layer."""
    bent = {b.source for b in network.bends}
    names = [b.output for b in network.bends]
    names += [y.output for y in network.layers if y.output not in bent]
    tops = {n: float(np.abs(a).max()) for n, a in network.values(samples, names).items()}
    for width in _WIDTHS:
        yield Changed(
            "int8-ranges",
            f"8 bits with ranges about {width} times too wide",
            _following(network, names, partial(_levels_of, tops=tops, width=width)),
        )


def _levels_of(name: str, tops: dict[str, float], width: int) -> list[Any]:
    return _levels(tops[name] * width / 127)


def _levels(step: float) -> list[Any]:
    return [("Div", ["x", max(step, 1e-12)], {}), ("Round", [0], {}), ("Mul", [1, step], {})]
