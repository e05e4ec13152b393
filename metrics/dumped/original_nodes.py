"""Pairs of tensors by what a vendor's compiler says of its operators: which node of the model each
one is, or which nodes it is fused of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from portproof.metrics.layerwise.graph import Layered, Origin, Tensor

_LONGEST_NAME = 1000


def plain(name: str) -> str:
    """A node's name as the compiler writes it into the name of a file.

    >>> plain("/layer1/conv1/Conv")
    '_layer1_conv1_Conv'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


class _Nodes:
    """The tensors of a model by the plain name of their node and the number of the output; what two
    nodes share is none's.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._of: dict[str, dict[int, str]] = {}
        nodes: dict[str, set[str]] = {}
        for tensor in tensors:
            name = plain(tensor.node)
            nodes.setdefault(name, set()).add(tensor.node)
            given = self._of.setdefault(name, {})
            given[tensor.origin.output if tensor.origin else len(given)] = tensor.name
        for name, several in nodes.items():
            if not name or len(several) > 1:
                del self._of[name]

    def tensor(self, origin: Origin, sure: bool) -> str | None:
        """The tensor that an operator gives. ``sure``: as its compiler states, or as a name that is
        several nodes' names joined says; else as the name alone says, to which a node may have been
        added in silence.
        """
        name = plain(origin.name)
        if name in self._of:
            return self._of[name].get(origin.output) if sure == origin.stated else None
        last = self._last(name) if sure else ""
        return self._of[last].get(origin.output) if last else None

    def _last(self, name: str) -> str:
        """The last of the nodes whose names a name joins, the longest that can be; empty if it is
        no such name.
        """
        if len(name) > _LONGEST_NAME:
            return ""
        ends = [0]
        for end in range(1, len(name)):
            if any(name[at:end] in self._of for at in ends):
                ends.append(end)
        return next((name[at:] for at in ends[1:] if name[at:] in self._of), "")


def original_pairs(a: Layered, b: Layered, sure: bool) -> Iterator[tuple[str, str]]:
    """(tensor of A, tensor of B) where either is the dump of a compiled model. What is computed
    last comes first: of the operators that one node became, its result is the last one's.
    """
    nodes_a, nodes_b = _Nodes(a.tensors), _Nodes(b.tensors)
    for one in reversed(b.tensors):
        other = nodes_a.tensor(one.origin, sure) if one.origin else None
        if other is not None:
            yield other, one.name
    for one in reversed(a.tensors):
        other = nodes_b.tensor(one.origin, sure) if one.origin else None
        if other is not None:
            yield one.name, other
