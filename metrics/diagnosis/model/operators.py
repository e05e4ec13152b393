"""Operators done otherwise: pooling, padding, strides, sums, the order of channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from portproof.core.errors import ToolError
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array, Network


def operators(network: Network) -> Iterator[Changed]:
    """Operators done otherwise, one at a time; strides and shuffles that belong together at once.

    A change after which shapes do not go together raises :class:`ToolError` when it is run.
    """
    nodes = list(network.model.graph.node)
    for i, node in enumerate(nodes):
        for fault, words, change in (*_poolings(node), *_paddings(node), *_dilations(node),
                                     *_sums(node, network), *_concatenations(node)):  # fmt: skip
            yield Changed(fault, f"{node.name or node.output[0]}: {words}",
                          _with_nodes(network, {i: change}))  # fmt: skip
    if strides := _strides(nodes, network.makers):
        words = f"the strides of {len(strides) // 2} pairs of convolutions exchanged"
        yield Changed("stride", words, _with_nodes(network, strides))
    for words, shuffles in _shuffles(nodes, network.weights):
        yield Changed("layer-channels", words, _with_nodes(network, shuffles))


NodeChange = Callable[[Any], list[Any]]


def _with_nodes(network: Network, changes: Mapping[int, NodeChange]) -> Callable[[Array], Rows]:
    def run(samples: Array) -> Rows:
        model = network.copy()
        nodes = [n for i, node in enumerate(model.graph.node)
                 for n in (changes[i](node) if i in changes else [node])]  # fmt: skip
        kept = [type(n).FromString(n.SerializeToString()) for n in nodes]
        del model.graph.node[:]
        model.graph.node.extend(kept)
        try:
            return network.rows(model, samples)
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise ToolError(f"a changed model does not run: {error}") from error

    return run


_NORM = "BatchNormalization"
_OTHER_POOL = {
    "MaxPool": ("AveragePool", "the mean for the largest"),
    "AveragePool": ("MaxPool", "the largest for the mean"),
    "GlobalAveragePool": ("GlobalMaxPool", "the largest for the mean"),
    "GlobalMaxPool": ("GlobalAveragePool", "the mean for the largest"),
    "ReduceMean": ("ReduceMax", "the largest for the mean"),
}


def _poolings(node: Any) -> Iterator[tuple[str, str, NodeChange]]:
    if node.op_type in _OTHER_POOL:
        op, words = _OTHER_POOL[node.op_type]
        yield "pooling", words, lambda n: [_altered(n, op, drop=("storage_order", "dilations"))]
    if node.op_type == "AveragePool":
        included = any(a.name == "count_include_pad" and a.i for a in node.attribute)
        words = f"padding {'not ' if included else ''}counted in the mean"
        yield (
            "pooling",
            words,
            lambda n: [
                _altered(n, n.op_type, ("count_include_pad",), count_include_pad=int(not included))
            ],
        )


def _paddings(node: Any) -> Iterator[tuple[str, str, NodeChange]]:
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [])
    if node.op_type not in ("Conv", "MaxPool", "AveragePool") or not any(pads):
        return
    half = len(pads) // 2
    total = [a + b for a, b in zip(pads[:half], pads[half:], strict=True)]
    for words, moved in (
        ("all padding at the end", [0] * half + total),
        ("all padding at the beginning", total + [0] * half),
        ("padding of both sides exchanged", pads[half:] + pads[:half]),
    ):
        if moved != pads:
            yield "padding", words, partial(_repadded, pads=moved)
    if node.op_type == "Conv":
        for mode in ("edge", "reflect"):
            words = f"padded by '{mode}', not zeros"
            yield "padding", words, partial(_padded, pads=pads, mode=mode)


def _dilations(node: Any) -> Iterator[tuple[str, str, NodeChange]]:
    """A convolution over neighbouring places, padded so that its output is as large."""
    numbers = {a.name: list(a.ints) for a in node.attribute}
    spread, kernel = numbers.get("dilations", []), numbers.get("kernel_shape", [])
    if node.op_type != "Conv" or not kernel or all(d == 1 for d in spread):
        return
    half = len(kernel)
    pads = numbers.get("pads", [0] * 2 * half)
    less = [(d - 1) * (k - 1) for d, k in zip(spread, kernel, strict=True)]
    first = [p - n // 2 for p, n in zip(pads[:half], less, strict=True)]
    last = [p - (n - n // 2) for p, n in zip(pads[half:], less, strict=True)]
    if min(first + last) >= 0:
        yield (
            "dilation",
            "without its dilation",
            lambda n: [
                _altered(n, "Conv", ("pads", "dilations"), pads=first + last, dilations=[1] * half)
            ],
        )


def _sums(node: Any, network: Network) -> Iterator[tuple[str, str, NodeChange]]:
    """One side of an addition left out: times 0, which keeps the shape."""
    if node.op_type == "Add" and not {*node.input} & {*network.weights}:
        for side, word in enumerate(("first", "second")):
            yield (
                "residual",
                f"the {word} side of the addition left out",
                partial(_without, side=side),
            )


def _without(node: Any, side: int) -> list[Any]:
    from onnx import TensorProto, helper

    name = f"{node.output[0]}, left out"
    zero = helper.make_tensor(f"{name} 0", TensorProto.FLOAT, [], [0.0])
    summed = _altered(node, "Add")
    summed.input[side] = name
    return [
        helper.make_node("Constant", [], [f"{name} by"], value=zero),
        helper.make_node("Mul", [node.input[side], f"{name} by"], [name]),
        summed,
    ]


def _concatenations(node: Any) -> Iterator[tuple[str, str, NodeChange]]:
    if node.op_type == "Concat":
        yield "layer-channels", "the parts put together in the other order", _turned_round


def _turned_round(node: Any) -> list[Any]:
    made = _altered(node, "Concat")
    made.input[:] = list(node.input)[::-1]
    return [made]


def _strides(nodes: list[Any], makers: Mapping[str, int]) -> dict[int, NodeChange]:
    """Two convolutions, one behind the other, with each other's strides: blocks of ResNet have the
    stride on the first in one version and on the second in another.
    """
    changes: dict[int, NodeChange] = {}
    for second, node in enumerate(nodes):
        source = makers.get(node.input[0]) if node.op_type == "Conv" else None
        while source is not None and nodes[source].op_type in ("Relu", "Clip", _NORM):
            source = makers.get(nodes[source].input[0])
        if source is None or nodes[source].op_type != "Conv" or source in changes:
            continue
        here, there = (
            next((list(a.ints) for a in nodes[i].attribute if a.name == "strides"), [1, 1])
            for i in (second, source)
        )
        if here != there:
            changes[second], changes[source] = _strided(there), _strided(here)
    return changes


def _strided(strides: list[int]) -> NodeChange:
    return lambda n: [_altered(n, "Conv", ("strides",), strides=strides)]


def _shuffles(
    nodes: list[Any], weights: Mapping[str, Array]
) -> Iterator[tuple[str, dict[int, NodeChange]]]:
    """Channel shuffles with another number of groups."""
    shapes = {
        i: weights[n.input[1]]
        for i, n in enumerate(nodes)
        if n.op_type == "Reshape" and n.input[1] in weights and len(weights[n.input[1]]) == 5
    }
    for groups in (1, 2, 3, 4, 8, 0):  # 0: as many as there were channels in a group
        changes = {
            i: _regrouped([int(v) for v in shape], groups)
            for i, shape in shapes.items()
            if min(shape[1:3]) > 0 and not (shape[1] * shape[2]) % max(groups, 1)
        }
        if changes:
            words = f"{groups} groups" if groups else "groups and channels exchanged"
            yield f"{len(changes)} channel shuffles with {words}", changes


def _regrouped(shape: list[int], groups: int) -> NodeChange:
    from onnx import TensorProto, helper

    first = groups or shape[2]
    other = [shape[0], first, shape[1] * shape[2] // first, *shape[3:]]

    def change(node: Any) -> list[Any]:
        name = f"{node.output[0]}, other groups"
        tensor = helper.make_tensor(name, TensorProto.INT64, [5], other)
        made = _altered(node, "Reshape")
        made.input[1] = name
        return [helper.make_node("Constant", [], [name], value=tensor), made]

    return change


def _repadded(node: Any, pads: list[int]) -> list[Any]:
    return [_altered(node, node.op_type, ("pads",), pads=pads)]


def _padded(node: Any, pads: list[int], mode: str) -> list[Any]:
    from onnx import TensorProto, helper

    half = len(pads) // 2
    whole = [0, 0, *pads[:half], 0, 0, *pads[half:]]
    name = f"{node.output[0]}, padded"
    tensor = helper.make_tensor(f"{name} amounts", TensorProto.INT64, [len(whole)], whole)
    amount = helper.make_node("Constant", [], [f"{name} by"], value=tensor)
    pad = helper.make_node("Pad", [node.input[0], f"{name} by"], [name], mode=mode)
    conv = _altered(node, "Conv", ("pads",), pads=[0] * len(pads))
    conv.input[0] = name
    return [amount, pad, conv]


def _altered(node: Any, op: str, drop: tuple[str, ...] = (), **attributes: Any) -> Any:
    """A node of another operator or with other attributes."""
    from onnx import helper

    made = helper.make_node(op, list(node.input), list(node.output), name=node.name)
    made.attribute.extend(a for a in node.attribute if a.name not in drop)
    for name, value in attributes.items():
        made.attribute.append(helper.make_attribute(name, value))
    return made
