"""Pooling and padding done otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array, Network


def operators(network: Network) -> Iterator[Changed]:
    """Pooling and padding done otherwise."""
    for i, node in enumerate(network.model.graph.node):
        for fault, words, change in (*_poolings(node), *_paddings(node)):
            yield Changed(fault, f"{node.name or node.output[0]}: {words}",
                          _with_node(network, i, change))  # fmt: skip


NodeChange = Callable[[Any], list[Any]]


def _with_node(network: Network, at: int, change: NodeChange) -> Callable[[Array], Rows]:
    def run(samples: Array) -> Rows:
        model = network.copy()
        nodes = list(model.graph.node)
        nodes[at : at + 1] = change(nodes[at])
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        return network.rows(model, samples)

    return run


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
    ):
        yield "padding", words, partial(_repadded, pads=moved)
    if node.op_type == "Conv":
        for mode in ("edge", "reflect"):
            words = f"padded by '{mode}', not zeros"
            yield "padding", words, partial(_padded, pads=pads, mode=mode)


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
