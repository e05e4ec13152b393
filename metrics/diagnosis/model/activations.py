"""Activations: as functions of arrays, and as nodes of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: Nodes as (operator, inputs, attributes); inputs are "x" (what is bent), the number of an earlier
#: node, or a constant.
Steps = list[tuple[str, list[Any], dict[str, Any]]]


def _erf(x: Array) -> Array:
    """The error function to 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    factors = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    total = np.zeros_like(t)
    for factor in reversed(factors):
        total = (total + factor) * t
    return np.asarray(np.sign(x) * (1 - total * np.exp(-x * x)))


def _sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def _leaky(slope: float) -> Callable[[Array], Array]:
    return lambda x: np.where(x > 0, x, slope * x)


def _tanh_gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "leaky relu (0.01)": _leaky(0.01),
    "leaky relu (0.1)": _leaky(0.1),
    "leaky relu (0.2)": _leaky(0.2),
    "leaky relu (0.25)": _leaky(0.25),
    "elu": lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(np.minimum(x, 0)) - 1))
    ),
    "gelu": lambda x: 0.5 * x * (1 + _erf(x / np.sqrt(2))),
    "gelu by tanh": _tanh_gelu,
    "silu": lambda x: x * _sigmoid(x),
    "hard swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "sigmoid": _sigmoid,
    "hard sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "absolute value": np.abs,
}

STEPS: dict[str, Steps] = {
    "none": [("Identity", ["x"], {})],
    "relu": [("Relu", ["x"], {})],
    "relu6": [("Relu", ["x"], {}), ("Min", [0, 6.0], {})],
    "leaky relu (0.01)": [("LeakyRelu", ["x"], {"alpha": 0.01})],
    "leaky relu (0.1)": [("LeakyRelu", ["x"], {"alpha": 0.1})],
    "leaky relu (0.2)": [("LeakyRelu", ["x"], {"alpha": 0.2})],
    "leaky relu (0.25)": [("LeakyRelu", ["x"], {"alpha": 0.25})],
    "elu": [("Elu", ["x"], {"alpha": 1.0})],
    "selu": [("Selu", ["x"], {})],
    "gelu": [
        ("Mul", ["x", float(np.sqrt(0.5))], {}),
        ("Erf", [0], {}),
        ("Add", [1, 1.0], {}),
        ("Mul", [2, "x"], {}),
        ("Mul", [3, 0.5], {}),
    ],
    "silu": [("Sigmoid", ["x"], {}), ("Mul", [0, "x"], {})],
    "hard swish": [
        ("HardSigmoid", ["x"], {"alpha": 1 / 6, "beta": 0.5}),
        ("Mul", [0, "x"], {}),
    ],
    "mish": [("Softplus", ["x"], {}), ("Tanh", [0], {}), ("Mul", [1, "x"], {})],
    "sigmoid": [("Sigmoid", ["x"], {})],
    "tanh": [("Tanh", ["x"], {})],
    "softplus": [("Softplus", ["x"], {})],
}


def nodes_of(steps: Steps, source: str, output: str) -> tuple[list[Any], list[Any]]:
    """ONNX nodes and initialisers that make ``output`` of ``source``."""
    from onnx import helper, numpy_helper

    nodes: list[Any] = []
    constants: list[Any] = []
    names = [f"{output}, step {i}" for i in range(len(steps) - 1)] + [output]
    for i, (op, inputs, attributes) in enumerate(steps):
        taken = []
        for given in inputs:
            if isinstance(given, str):
                taken.append(source)
            elif not isinstance(given, int):
                name = f"{output}, constant {len(constants)}"
                constants.append(numpy_helper.from_array(np.asarray(given, np.float32), name))
                taken.append(name)
            else:
                taken.append(names[given])
        nodes.append(helper.make_node(op, taken, [names[i]], **attributes))
    return nodes, constants
