"""What changes of the reference leave of the difference, on some of the samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import NOTHING, Tried
from portproof.metrics.diagnosis.likeness import Rows, unlikeness
from portproof.metrics.diagnosis.model.changes import Changed
from portproof.metrics.diagnosis.model.network import Array

#: Single changes are tried on so few samples.
FEW = 4
#: An explanation that leaves so little ends the search.
ENOUGH = 1e-3
#: What leaves more of two samples is not tried on others; so many of the others on so many more.
_PROMISING, _LIKELY, _MORE = 0.7, 6, 24


@dataclass(kw_only=True)
class Weighing:
    """What the port and the reference answer to the first samples, (samples, classes), made
    comparable by ``measure``; ``neighbours``: so many of them are neighbours from the first.
    """

    port: Rows
    plain: Rows
    measure: Callable[[Rows], Rows]
    neighbours: int
    samples: Array = field(default_factory=lambda: np.zeros(0))
    tried: list[Tried] = field(default_factory=list)

    def _best(self) -> float:
        return min((t.left for t in self.tried), default=1.0)

    def _rows(self, count: int) -> NDArray[np.int64]:
        """The samples that differ most, and some of all: a fault may show in few of them."""
        n = len(self.samples)
        if n <= count:
            return np.arange(n)
        most = np.argsort(-unlikeness(self.port, self.plain), kind="stable")[: count // 2]
        rest = np.setdiff1d(np.linspace(0, n - 1, count).round().astype(int), most)
        return np.concatenate([most, rest[: count - len(most)]])

    def _left(self, rows: Rows, at: NDArray[np.int64]) -> float:
        """What is left of the difference of some samples; all, where they do not differ."""
        others = (self.plain[at], self.measure(rows))
        before, after = (float(unlikeness(self.port[at], o).mean()) for o in others)
        left = after / before if before > NOTHING else max(1.0, after / NOTHING)
        return left if np.isfinite(after) else 1e9

    def _add(self, changed: Changed, at: NDArray[np.int64]) -> float:
        """Try a change of the whole model; returns what it leaves."""
        if changed.batch > self.neighbours and changed.fault == "bn-batch":
            return 1.0
        self.tried.append(self._tried(changed, at))
        return self.tried[-1].left

    def _tried(self, changed: Changed, at: NDArray[np.int64]) -> Tried:
        parts = range(0, len(at), changed.batch)
        rows = [changed.run(self.samples[at[i : i + changed.batch]]) for i in parts]
        made = np.concatenate(rows)
        moved = float(unlikeness(self.measure(made), self.plain[at]).mean())
        return Tried(changed, self._left(made, at), moved)

    def _surely(self) -> None:
        """The likeliest on more samples: a few may all be of classes that nothing was done to."""
        self.tried.sort(key=lambda t: t.left)
        at = self._rows(_MORE)
        for i, each in enumerate(self.tried[:_LIKELY]):
            # Statistics of a batch are those of neighbours.
            if each.left <= _PROMISING and each.changed.fault != "bn-batch":
                self.tried[i] = self._tried(each.changed, at)

    def _promising(self, every: Iterable[Changed], until: float) -> None:
        """Try changes that show in every sample: those that fit two of them on more."""
        at = self._rows(FEW)
        two = at[[0, -1]]
        for changed in every:
            if self._best() <= ENOUGH or time.monotonic() > until:
                return
            if self._left(changed.run(self.samples[two]), two) <= _PROMISING:
                self._add(changed, at)
