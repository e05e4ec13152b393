"""Models whose layers got their weights in another order, or those of another layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.kernels import REORDERS, Held, Reorder
from portproof.metrics.diagnosis.model.network import Array, Layer, Network

#: So many pairs of layers have their weights exchanged, neighbours first.
_PAIRS = 48
#: Operators through which a flattened tensor passes as it is.
_PASSING = ("Identity", "Dropout", "Relu")
#: Samples and the weights that are others, to answers.
Run = Callable[[Array, Mapping[str, Array]], Rows]


@dataclass(frozen=True)
class Holder:
    """A model that can be ``run`` with other weights, the weights ``held`` by its layers, and their
    ``biases`` by key. ``mixing``: only what moves numbers from one output channel to another is
    asked of it.
    """

    held: tuple[Held, ...]
    run: Run
    biases: Mapping[str, Array]
    mixing: bool = False

    def everywhere(self) -> Iterator[Changed]:
        """All layers, all of a kind (with kernels, depthwise), or all with kernels but the first,
        read in the same other order.
        """
        kernels = [h for h in self.held if len(h.axes) > 2]
        single = [h for h in kernels if h.values.shape[1] == 1]
        groups = (self.held, kernels, kernels[1:], single, [h for h in kernels if h not in single],
                  [h for h in self.held if h not in kernels])  # fmt: skip
        seen = set()
        for reorder in REORDERS:
            every = {h: (hash(made.tobytes()), self._is_asked(h, made)) for h in self.held
                     if (made := reorder.of(h)) is not None}  # fmt: skip
            for group in groups:
                held = tuple(h for h in group if h in every)
                content = frozenset((h.key, every[h][0]) for h in held)
                asked = any(every[h][1] for h in held)
                if len(held) > 1 and asked and content not in seen:
                    seen.add(content)
                    words = f"{len(held)} layers, {held[0].name} the first, each: {reorder.words}"
                    run = partial(self._reordered, held=held, reorder=reorder)
                    yield Changed(reorder.fault, words, run)

    def of(self, held: Held) -> Iterator[Changed]:
        """One layer read in another order."""
        seen = set()
        for reorder in REORDERS:
            made = reorder.of(held)
            if made is None or not self._is_asked(held, made):
                continue
            if (content := hash(made.tobytes())) not in seen:
                seen.add(content)
                run = partial(self._reordered, held=(held,), reorder=reorder)
                yield Changed(reorder.fault, f"{held.name}: {reorder.words}", run)

    def _is_asked(self, held: Held, made: Array) -> bool:
        return not self.mixing or _mixes(held, made)

    def _reordered(self, samples: Array, held: tuple[Held, ...], reorder: Reorder) -> Rows:
        made = {h.key: reorder.of(h) for h in held}
        return self.run(samples, {k: v for k, v in made.items() if v is not None})

    def _given(self, given: Mapping[str, Array]) -> Callable[[Array], Rows]:
        return lambda samples: self.run(samples, given)

    def exchanged(self) -> Iterator[Changed]:
        """Two layers of one shape with each other's weights, without and with their biases."""
        alike = [
            (b - a, self.held[a], self.held[b])
            for a, b in combinations(range(len(self.held)), 2)
            if self.held[a].values.shape == self.held[b].values.shape
        ]
        for _, one, other in sorted(alike, key=lambda p: p[0])[:_PAIRS]:
            given = {one.key: other.values, other.key: one.values}
            words = f"{one.name} and {other.name} with each other's weights"
            yield Changed("layer-weights", words, self._given(given))
            if one.bias and other.bias:
                biases = {one.bias: self.biases[other.bias], other.bias: self.biases[one.bias]}
                run = self._given(given | biases)
                yield Changed("layer-weights", f"{words} and biases", run)


def _mixes(held: Held, made: Array) -> bool:
    """Whether output channels have other sums than before."""
    axes = tuple(i for i, c in enumerate(held.axes) if c != "O")
    before, after = (w.astype(np.float64).sum(axis=axes) for w in (held.values, made))
    return not np.allclose(before, after)


def holder_of(network: Network, sample: Array) -> Holder:
    """The layers of a network; ``sample``: some samples, whose shapes inside are looked at."""
    flat = _flat_shapes(network, sample)
    held = {
        y.weight: Held(y.name, y.weight, network.weights[y.weight], axes, flat.get(y.output, ()),
                       y.bias, y.output == network.output)
        for y in network.layers
        if (axes := _axes(network, y))
    }  # fmt: skip
    biases = {y.bias: network.weights[y.bias] for y in network.layers if y.bias}
    return Holder(tuple(held.values()), network.reweighted(), biases)


def _axes(network: Network, layer: Layer) -> str:
    """The axes of a layer's weights; empty where they are not known."""
    places = network.weights[layer.weight].ndim - 2
    if layer.op in ("Conv", "ConvTranspose") and 1 <= places <= 3:
        return ("OI" if layer.op == "Conv" else "IO") + "DHW"[-places:]
    if places:
        return ""
    node = network.model.graph.node[network.makers[layer.output]]
    turned = layer.op == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return "OI" if turned else "IO"


def _flat_shapes(network: Network, sample: Array) -> dict[str, tuple[int, ...]]:
    """By a layer's output, the shape (C, ...) of what is flattened in front of it."""
    sources = {}
    nodes = network.model.graph.node
    for layer in network.layers:
        name = layer.source
        while name in network.makers and nodes[network.makers[name]].op_type in _PASSING:
            name = nodes[network.makers[name]].input[0]
        if name in network.makers:
            node = nodes[network.makers[name]]
            if node.op_type in ("Flatten", "Reshape") and node.input[0] not in network.weights:
                sources[layer.output] = node.input[0]
    inside = [n for n in dict.fromkeys(sources.values()) if n != network.input]
    shapes = {network.input: sample.shape[1:]}
    if inside:
        shapes |= {n: a.shape[1:] for n, a in network.values(sample, inside).items()}
    return {output: shapes[source] for output, source in sources.items()}
