"""Batch normalisation that stands in an ONNX file: without a part of what it learnt, or with
another epsilon.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import log10
from typing import Any

import numpy as np

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array, Network

#: By fault, the place of a part among the inputs of the operator, what stands for one that was not
#: loaded, and its name.
_PARTS = {
    "bn-weight": (1, 1.0, "weights"),
    "bn-bias": (2, 0.0, "biases"),
    "bn-mean": (3, 0.0, "means"),
    "bn-var": (4, 1.0, "variances"),
}
#: What ONNX has where a file says nothing.
_EPSILON = 1e-5
#: What an epsilon must leave to be looked at more closely, and what ends the search.
_NEAR, _ENOUGH = 0.8, 1e-5


@dataclass(frozen=True)
class Epsilon:
    """An epsilon that may be another: where, what it is, and the model with any other."""

    words: str
    value: float
    run: Callable[[float], Callable[[Array], Rows]]

    def changed(self, value: float) -> Changed:
        """The model with this epsilon."""
        words = f"{self.words} with an epsilon of {value:.3g} instead of {self.value:.3g}"
        return Changed("bn-epsilon", words, self.run(value))

    def approach(self, left: Callable[[Changed], float]) -> None:
        """Try any epsilon, from coarse to fine; ``left``: what one leaves of the difference."""
        power = -3.0
        for width in (1.0, 0.25, 0.06, 0.015, 0.004):
            round_number = log10(float(f"{10**power:.1g}"))
            powers = [round_number, *(power + width * k for k in range(-3, 4))]
            best, power = min((left(self.changed(10.0**p)), p) for p in powers)
            if not _ENOUGH < best < _NEAR:
                return


def nodes_in(network: Network) -> list[Any]:
    """The operators, if there are any."""
    return [n for n in network.model.graph.node if n.op_type == "BatchNormalization"]


def parts_missing(network: Network, each: bool = False) -> Iterator[Changed]:
    """All batch normalisation, or ``each`` one, without a part of what it learnt."""
    nodes = nodes_in(network)
    for group in [[n] for n in nodes] if each else [nodes]:
        where = (group[0].name or group[0].output[0]) if each else "batch normalisation"
        for fault, (place, value, said) in _PARTS.items():
            names = {n.input[place] for n in group}
            if names and names <= network.weights.keys():
                yield Changed(fault, f"{where} without its {said}",
                              partial(_filled, network, names, value))  # fmt: skip


def _filled(network: Network, names: set[str], value: float, samples: Array) -> Rows:
    from onnx import numpy_helper

    model = network.copy()
    for tensor in model.graph.initializer:
        if tensor.name in names:
            filled = np.full_like(network.weights[tensor.name], value)
            tensor.CopyFrom(numpy_helper.from_array(filled, tensor.name))
    return network.rows(model, samples)


def epsilons(network: Network) -> Iterator[Epsilon]:
    """The epsilon of all batch normalisation, and of each one."""
    nodes = nodes_in(network)
    for node in [None, *nodes] if len(nodes) > 1 else nodes:
        name = node and (node.name or node.output[0])
        own = [a.f for a in (node or nodes[0]).attribute if a.name == "epsilon"]
        yield Epsilon(name or "batch normalisation", own[0] if own else _EPSILON,
                      partial(_with_epsilon, network, node and node.output[0]))  # fmt: skip


def _with_epsilon(network: Network, output: str | None, epsilon: float) -> Callable[[Array], Rows]:
    from onnx import helper

    def run(samples: Array) -> Rows:
        model = network.copy()
        for node in model.graph.node:
            if node.op_type == "BatchNormalization" and output in (None, node.output[0]):
                kept = [a for a in node.attribute if a.name != "epsilon"]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute("epsilon", epsilon)])
        return network.rows(model, samples)

    return run
