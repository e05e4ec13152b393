"""Which tensor of one model is which of the other, when names, fusion or frameworks differ.

The surest first: what a compiler states, equal values (before a fault nothing else has them), equal
names of one operator, nearly equal values, equal paths of modules, and place: the same operator on
the same inputs. The models' outputs match by position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from portproof.metrics.dumped.original_nodes import original_pairs
from portproof.metrics.layerwise.graph import Layered, Tensor, family
from portproof.metrics.layerwise.sketch import Sketch, distances

#: Estimated relative errors up to which values are equal, and nearly equal.
_EQUAL, _NEAR = 1e-2, 0.3
#: Below this, distances are ties, which names and operators decide.
_TIE = 1e-5

_WITH_WEIGHTS = {"conv", "convtranspose", "matmul"}

Sketches = Mapping[str, Sketch]


def counterparts(a: Layered, b: Layered, of_a: Sketches, of_b: Sketches) -> dict[str, str]:
    """Tensor of A -> tensor of B, in A's order of computation."""
    found = _Pairs(a, b, of_a, of_b)
    found.by_origin(sure=True)
    if len(a.outputs) == len(b.outputs):
        for x, y in zip(a.outputs, b.outputs, strict=True):
            if x in found.ops_a and y in found.ops_b:
                found.take(x, y)
    near = found.by_value()
    found.take_all(near, _EQUAL)
    found.by_origin(sure=False)
    for t in b.tensors:
        if t.name in found.ops_a and found.alike(t.name, t.name) and found.free(t.name, t.name):
            found.take(t.name, t.name)
    found.take_all(near, _NEAR)
    found.by_module()
    found.by_place()
    order = {t.name: at for at, t in enumerate(a.tensors)}
    return {x: found.b_of[x] for x in sorted(found.b_of.keys() & order, key=order.__getitem__)}


class _Pairs:
    """The pairs found so far, both ways."""

    def __init__(self, a: Layered, b: Layered, of_a: Sketches, of_b: Sketches) -> None:
        self._a, self._b, self._of_a, self._of_b = a, b, of_a, of_b
        self.ops_a = {t.name: family(t.op) for t in a.tensors}
        self.ops_b = {t.name: family(t.op) for t in b.tensors}
        inputs = list(zip((s.name for s in a.inputs), (s.name for s in b.inputs), strict=False))
        self.b_of = dict(inputs)
        self.a_of = {y: x for x, y in inputs}

    def free(self, x: str, y: str) -> bool:
        return x not in self.b_of and y not in self.a_of

    def take(self, x: str, y: str) -> None:
        if self.free(x, y):
            self.b_of[x], self.a_of[y] = y, x

    def alike(self, x: str, y: str) -> bool:
        """Whether two tensors are of one operator and one size."""
        one, other = self._of_a.get(x), self._of_b.get(y)
        sizes = one is None or other is None or one.size == other.size
        return self.ops_a[x] == self.ops_b[y] and sizes

    def by_origin(self, sure: bool) -> None:
        """Pair what a compiler made of a node with what the node gives; ``sure`` as in
        :func:`original_pairs`.
        """
        for x, y in original_pairs(self._a, self._b, sure):
            if self._fits(x, y):
                self.take(x, y)

    def by_value(self) -> list[tuple[float, str, str]]:
        """Pairs of tensors of one size with their distances, the nearest first; among ties those of
        one name, then of one operator, then in one order.
        """
        pairs: list[tuple[float, float, str, str]] = []
        sizes: dict[int, tuple[list[str], list[str]]] = defaultdict(lambda: ([], []))
        for at, sketches in enumerate((self._of_a, self._of_b)):
            ops = (self.ops_a, self.ops_b)[at]
            for name, sketch in sketches.items():
                if sketch.kind == "f" and name in ops:
                    sizes[sketch.size * len(sketch.cells)][at].append(name)
        for mine, its in sizes.values():
            if mine and its:
                pairs += self._near(mine, its)
        return [(d, x, y) for d, _, x, y in sorted(pairs)]

    def _near(self, mine: list[str], its: list[str]) -> list[tuple[float, float, str, str]]:
        matrix: Any = distances([self._of_a[n] for n in mine], [self._of_b[n] for n in its])
        found = []
        for row, column in zip(*np.nonzero(matrix <= _NEAR), strict=True):
            x, y = mine[row], its[column]
            d = float(matrix[row, column])
            other = (
                2.0 * (x != y)
                + 1.0 * (self.ops_a[x] != self.ops_b[y])
                + 0.5 * (self._of_a[x].shape != self._of_b[y].shape)
                + abs(row / len(mine) - column / len(its)) / 4
            )
            found.append((max(d, _TIE), other, x, y))
        return found

    def take_all(self, near: Sequence[tuple[float, str, str]], most: float) -> None:
        for distance, x, y in near:
            if distance > most:
                return
            self.take(x, y)

    def by_module(self) -> None:
        """Pair what one module computes with one operator: exported nodes bear the module's path
        (``/layer1/conv1/Conv``), as PyTorch's and msprobe's names do (``layer1.conv1``).
        """
        waiting: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
        for x in self._a.tensors:
            for key in _paths(x):
                waiting[key].append(x)
        for y in self._b.tensors:
            for key in () if _is_fused(y) else _paths(y):
                fitting = [x for x in waiting[key] if self.free(x.name, y.name)]
                fitting = [x for x in fitting if self._fits(x.name, y.name)]
                if fitting:
                    self.take(fitting[0].name, y.name)
                    break

    def by_place(self) -> None:
        """Pair what reads the same matched tensors: of one operator first, else the last of A that
        could be it (a fused operator gives the result of the last of its parts).
        """
        near_b: dict[str, frozenset[str]] = {}
        waiting = self._places()
        for y in self._b.tensors:
            near_b[y.name] = _nearest(y, self.a_of, near_b)
            if y.name in self.a_of:
                continue
            place = frozenset(self.a_of[name] for name in near_b[y.name])
            fitting = [x for x in waiting.get(place, ()) if self._fits(x.name, y.name)]
            same = [x for x in fitting if family(x.op) == family(y.op)]
            if same and not _is_fused(y):
                self.take(same[0].name, y.name)
            elif fitting:
                self.take(_last_part(fitting).name, y.name)
            if y.name in self.a_of:  # what is known of A has changed
                waiting = self._places()

    def _places(self) -> dict[frozenset[str], list[Tensor]]:
        """The tensors of A without a counterpart by the nearest ones that have one."""
        near: dict[str, frozenset[str]] = {}
        waiting: dict[frozenset[str], list[Tensor]] = defaultdict(list)
        for x in self._a.tensors:
            near[x.name] = _nearest(x, self.b_of, near)
            if x.name not in self.b_of:
                waiting[near[x.name]].append(x)
        return waiting

    def _fits(self, x: str, y: str) -> bool:
        one, other = self._of_a.get(x), self._of_b.get(y)
        return one is not None and other is not None and one.size == other.size


def _is_fused(tensor: Tensor) -> bool:
    """Whether it is what an operator of ONNX Runtime gives that holds its activation too."""
    return "fused" in tensor.op.lower()


def _nearest(
    tensor: Tensor, known: Mapping[str, str], near: Mapping[str, frozenset[str]]
) -> frozenset[str]:
    """The known tensors nearest before one; ``near``: those of the tensors before it."""
    found: set[str] = set()
    for name in tensor.reads:
        found |= {name} if name in known else near.get(name, frozenset())
    return frozenset(found)


def _paths(tensor: Tensor) -> list[tuple[str, str]]:
    """The module path of a tensor's node, with and without its last part, beside the operator."""
    path = tensor.node.strip("/").replace("/", ".")
    kind, outer = family(tensor.op), path.rpartition(".")[0]
    return [(p, kind) for p in (path, outer) if p]


def _last_part(chain: Sequence[Tensor]) -> Tensor:
    """The last of the tensors that one fused operator can give: before the next with weights."""
    last = chain[0]
    for tensor in chain[1:]:
        if family(tensor.op) in _WITH_WEIGHTS:
            break
        last = tensor
    return last


class Sources:
    """The nearest tensors before a tensor that are known, through those that are not."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._reads = {t.name: t.reads for t in tensors}

    def of(self, name: str, known: Mapping[str, object]) -> set[str]:
        """The names; of what no operator computes, its own name, but no weights: these are read by
        one model's file alone.
        """
        found: set[str] = set()
        seen: set[str] = set()
        stack = list(self._reads.get(name, ()))
        while stack:
            read = stack.pop()
            if read in seen:
                continue
            seen.add(read)
            if read in known:
                found.add(read)
            else:
                stack += self._reads.get(read, ())
        return found
