"""Which tensor of one model is which of the other, when names, fusion or frameworks differ.

Four passes, the surest first: equal values (before a fault nothing else has them), equal names of
one operator, nearly equal values, and place: the same operator on the same inputs. The models'
outputs match by position.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    if len(a.outputs) == len(b.outputs):
        for x, y in zip(a.outputs, b.outputs, strict=True):
            if x in found.ops_a and y in found.ops_b:
                found.take(x, y)
    near = found.by_value()
    found.take_all(near, _EQUAL)
    for t in b.tensors:
        if t.name in found.ops_a and found.alike(t.name, t.name) and found.free(t.name, t.name):
            found.take(t.name, t.name)
    found.take_all(near, _NEAR)
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

    def by_place(self) -> None:
        """Pair what reads the same matched tensors: of one operator first, else the last of A that
        could be it (a fused operator gives the result of the last of its parts).
        """
        waiting: dict[frozenset[str], list[Tensor]] = defaultdict(list)
        reads_a = Sources(self._a.tensors)
        for y in self._b.tensors:
            if y.name in self.a_of:
                continue
            # A's sources change as pairs are found, so they are looked up anew.
            waiting.clear()
            for x in self._a.tensors:
                if x.name not in self.b_of:
                    waiting[frozenset(reads_a.of(x.name, self.b_of))].append(x)
            near = Sources(self._b.tensors).of(y.name, self.a_of)
            place = frozenset(self.a_of.get(name, name) for name in near)
            fitting = [x for x in waiting.get(place, ()) if self._fits(x.name, y.name)]
            same = [x for x in fitting if family(x.op) == family(y.op)]
            if same and "fused" not in y.op.lower():
                self.take(same[0].name, y.name)
            elif fitting:
                self.take(_last_part(fitting).name, y.name)

    def _fits(self, x: str, y: str) -> bool:
        one, other = self._of_a.get(x), self._of_b.get(y)
        return one is not None and other is not None and one.size == other.size


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
