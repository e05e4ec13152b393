"""An explanation by what was done to the outputs of every sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.likeness import Rows, comparable, unlikeness

#: What was done to outputs: rows to rows, each by itself.
Make = Callable[[Rows], Rows]


@dataclass(frozen=True)
class Way:
    """A fault, its evidence and fix, and what ``make`` does to the outputs. ``sure``: the port's
    outputs alone show it.
    """

    fault: str
    evidence: str
    fix: str
    make: Make
    sure: bool = False

    def found(self, port: Rows, right: Rows, left: float | None = None) -> Found:
        """The reference's outputs made so, compared with the port's; both (rows, classes).
        ``left``: the share of the difference that this leaves, where the usual measure does not
        tell it.
        """
        apart = unlikeness(comparable(port, False), comparable(self.make(right), False))
        said = f"{self.evidence}; the reference's, made so, differ from them by {apart.mean():.2g}"
        candidate = Candidate(self.fault, score_of(apart), said, self.fix)
        return Found(candidate, left=left, made=self.make, sure=self.sure)
