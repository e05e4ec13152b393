"""One flipped bit among the weights: which one it is.

A wrong weight adds its error times one shifted input to one channel of its layer. The channels
whose changes point where the port's difference points are looked at weight by weight.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows, unlikeness
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array, Layer, Network

#: Channels of a layer that are looked at, samples that they are looked at with, and variants that
#: run together.
_CHANNELS, _SAMPLES, _TOGETHER = 3, 3, 256
#: What is left by a weight that is worth a second look, and so many of them.
_PROMISING, _BEST = 0.3, 3
_BITS = range(20, 32)
Measure = Callable[[Rows], Rows]


@dataclass(frozen=True)
class _Flip:
    """The weight at ``place`` (channel first) with a bit flipped, and what that adds to it."""

    place: tuple[int, ...]
    bit: int
    error: float


@dataclass(frozen=True)
class Seen:
    """Samples, what the port and the reference answer to them, and what makes rows comparable."""

    samples: Array
    port: Rows
    plain: Rows
    measure: Measure


def damages(network: Network, seen: Seen, until: float) -> Iterator[Changed]:
    """Models with one bit flipped that come near to the port; nothing is tried after ``until``
    (of :func:`time.monotonic`).
    """
    seen = replace(seen, port=seen.port[:_SAMPLES], plain=seen.plain[:_SAMPLES])
    before = float(unlikeness(seen.port, seen.plain).mean())
    for layer in reversed(network.layers):
        if time.monotonic() > until:
            return
        tail = _tail(network, layer, seen.samples[:_SAMPLES])
        if tail is None:
            continue
        near: list[tuple[float, _Flip]] = []
        for channel in _pointing(tail, seen):
            if time.monotonic() > until:
                break
            near += _tried(tail, channel, seen)
        near.sort(key=lambda n: n[0])
        for left, flip in near[:_BEST]:
            if left <= _PROMISING * before:
                yield _changed(network, layer, flip)


@dataclass(frozen=True)
class _Tail:
    """A layer with its values for the samples, its weights (channels, numbers of one), and what the
    model answers when its output is given.
    """

    network: Network
    layer: Layer
    output: Array
    source: Array
    weight: Array
    answer: Callable[[Array], Rows]


def _tail(network: Network, layer: Layer, samples: Array) -> _Tail | None:
    """None where the batch axis is folded into another, or channels are not where expected."""
    made = network.values(samples, [layer.output, layer.source])
    output, weight = made[layer.output], _channel_first(network, layer)
    if len(output) != len(samples) or len(weight) != output.shape[layer.axis]:
        return None
    answer = network.after(layer.output, samples)
    return _Tail(network, layer, output, made[layer.source], weight, answer)


def _channel_first(network: Network, layer: Layer) -> Array:
    """The weights, (channels, numbers of one)."""
    weight = network.weights[layer.weight]
    if layer.op == "MatMul" or (layer.op == "Gemm" and not _number(network, layer, "transB", 0)):
        weight = weight.T
    return weight.reshape(len(weight), -1)


def _node(network: Network, layer: Layer) -> object:
    return next(n for n in network.model.graph.node if layer.weight in n.input)


def _number(network: Network, layer: Layer, name: str, default: int) -> int:
    found = [a.i for a in _node(network, layer).attribute if a.name == name]  # type: ignore[attr-defined]
    return int(found[0]) if found else default


def _numbers(network: Network, layer: Layer, name: str, default: list[int]) -> list[int]:
    found = [list(a.ints) for a in _node(network, layer).attribute if a.name == name]  # type: ignore[attr-defined]
    return found[0] if found else default


def _pointing(tail: _Tail, seen: Seen) -> list[int]:
    """The channels whose changes change the answers in the direction of the port's difference."""
    output, layer = tail.output, tail.layer
    count = output.shape[layer.axis]
    scale = float(output.std()) or 1.0
    wanted = _unit((seen.port - seen.plain).ravel())
    points = np.zeros(count)
    for channels in np.array_split(np.arange(count), max(1, count // _TOGETHER + 1)):
        for shift in (scale, -scale, 10 * scale):
            made = np.repeat(output[None], len(channels), axis=0)
            for i, channel in enumerate(channels):
                _channel(made[i], layer, int(channel))[...] += shift
            for channel, rows in zip(channels, tail.answer(made), strict=True):
                effect = _unit((seen.measure(rows) - seen.plain).ravel())
                points[channel] = max(points[channel], abs(float(effect @ wanted)))
    return [int(c) for c in np.argsort(-points)[:_CHANNELS]]


def _unit(vector: Rows) -> Rows:
    with np.errstate(all="ignore"):
        vector = np.nan_to_num(vector, nan=0.0, posinf=0.0, neginf=0.0)
        return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-300))


def _channel(output: Array, layer: Layer, channel: int) -> Array:
    """A view of one channel of an output (samples, ...)."""
    return output[:, channel] if layer.axis == 1 else output[..., channel]


def _inputs(tail: _Tail, channel: int) -> Array:
    """What each weight of a channel is multiplied with, (weights, samples, ...)."""
    network, layer, source, output = tail.network, tail.layer, tail.source, tail.output
    if layer.op != "Conv":
        return np.moveaxis(source, -1, 0)
    weight = network.weights[layer.weight]
    kernel = list(weight.shape[2:])
    group = _number(network, layer, "group", 1)
    strides = _numbers(network, layer, "strides", [1] * len(kernel))
    spread = _numbers(network, layer, "dilations", [1] * len(kernel))
    pads = _numbers(network, layer, "pads", [0] * 2 * len(kernel))
    half = len(kernel)
    padded = np.pad(source, [(0, 0), (0, 0), *((pads[i], pads[half + i]) for i in range(half))])
    first = (channel // max(1, len(weight) // group)) * weight.shape[1]
    shifted = []
    for i in range(weight.shape[1]):
        for place in np.ndindex(*kernel):
            spans = tuple(
                slice(p * d, p * d + s * (n - 1) + 1, s)
                for p, d, s, n in zip(place, spread, strides, output.shape[2:], strict=True)
            )
            shifted.append(padded[(slice(None), first + i, *spans)])
    return np.stack(shifted)


def _tried(tail: _Tail, channel: int, seen: Seen) -> list[tuple[float, _Flip]]:
    """What every flipped bit of a channel leaves of the difference, the best few."""
    weight, shifted = tail.weight, _inputs(tail, channel)
    flips = [f for i in range(weight.shape[1]) for f in _flips(weight, channel, i)]
    near = []
    for first in range(0, len(flips), _TOGETHER):
        part = flips[first : first + _TOGETHER]
        made = np.repeat(tail.output[None], len(part), axis=0)
        with np.errstate(all="ignore"):
            for i, flip in enumerate(part):
                added = np.float32(flip.error) * shifted[flip.place[1]]
                _channel(made[i], tail.layer, channel)[...] += added
            for flip, row in zip(part, tail.answer(made), strict=True):
                left = float(unlikeness(seen.port, seen.measure(row)).mean())
                near.append((left if np.isfinite(left) else 2.0, flip))
    near.sort(key=lambda n: n[0])
    return near[:_BEST]


def _flips(weight: Array, channel: int, index: int) -> Iterator[_Flip]:
    value = weight[channel, index : index + 1].astype(np.float32)
    seen: set[str] = set()
    for bit in _BITS:
        other = (value.view(np.uint32) ^ np.uint32(1 << bit)).view(np.float32)
        error = float(other[0]) - float(value[0])
        # Most flips of the exponent's upper bits leave nothing of a weight: one of them will do.
        if np.isfinite(error) and f"{error:.2g}" not in seen:
            seen.add(f"{error:.2g}")
            yield _Flip((channel, index), bit, error)


def _changed(network: Network, layer: Layer, flip: _Flip) -> Changed:
    """The model with the bit flipped."""
    from onnx import numpy_helper

    shape = network.weights[layer.weight].shape
    turned = _channel_first(network, layer).copy()
    before = float(turned[flip.place])
    turned[flip.place] = np.float32(before + flip.error)
    gemm = layer.op == "MatMul" or (layer.op == "Gemm" and not _number(network, layer, "transB", 0))
    whole = np.ascontiguousarray(turned.T) if gemm else turned.reshape(shape)

    def run(samples: Array) -> Rows:
        model = network.copy()
        for tensor in model.graph.initializer:
            if tensor.name == layer.weight:
                tensor.CopyFrom(numpy_helper.from_array(whole, layer.weight))
        return network.rows(model, samples)

    words = (
        f"{layer.name}: number {flip.place[1]} of channel {flip.place[0]} of its weights is"
        f" {before + flip.error:.6g} instead of {before:.6g} (bit {flip.bit})"
    )
    return Changed("weight-damaged", words, run)
