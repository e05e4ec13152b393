"""Which samples make the difference between two sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.evaluation.evaluate import figure_value, own_figure
from portproof.metrics.paired.losses import stakes_of
from portproof.metrics.paired.task_figures import Influence
from portproof.metrics.tasks import Figure

#: So many samples at most are exchanged one by one; each costs a whole figure.
MOST_EXCHANGED = 100
Floats = NDArray[np.float64]


def influences(
    task: Any, figure: Figure, one: Contributions, other: Contributions
) -> list[Influence]:
    """Every sample, with its own figure on both sides and its share of the difference (port minus
    reference).

    The share is how the reference's figure changes when this sample alone is taken from the port.
    When more than :data:`MOST_EXCHANGED` samples differ, those with the largest differences of
    their own figures are exchanged; the others have that difference times what they carry of the
    figure.
    """
    own = _own_figures(task, figure, one, other)
    changed = [i for i in range(len(one)) if one.part(i) != other.part(i)]
    stakes = stakes_of(task, figure, one) / figure.span
    shares = np.array(
        [
            0.0 if a is None or b is None else s * (b - a)
            for s, (a, b) in zip(stakes, own, strict=True)
        ]
    )
    for at in sorted(changed, key=lambda i: -abs(shares[i]))[:MOST_EXCHANGED]:
        exchanged = _exchanged(task, figure, one, other, at)
        shares[at] = shares[at] if exchanged is None else exchanged
    return [Influence(i, *pair, float(s)) for i, pair, s in zip(one.ids, own, shares, strict=True)]


def _own_figures(
    task: Any, figure: Figure, one: Contributions, other: Contributions
) -> list[tuple[float | None, float | None]]:
    """The figure of every sample alone, on both sides."""
    found: list[tuple[float | None, float | None]] = []
    for at in range(len(one)):
        value = own_figure(task, figure.name, one, at)
        same = one.part(at) == other.part(at)
        found.append((value, value if same else own_figure(task, figure.name, other, at)))
    return found


def _exchanged(
    task: Any, figure: Figure, one: Contributions, other: Contributions, at: int
) -> float | None:
    """How the figure of ``one`` changes when the sample at this position is ``other``'s."""
    n = len(one)
    both = one.once(f"beside/{id(other)}", lambda: one.beside(other))
    counts = np.concatenate([np.ones(n, np.int64), np.zeros(n, np.int64)])
    before = figure_value(task, figure.name, both, counts)
    counts[[at, n + at]] = 0, 1
    after = figure_value(task, figure.name, both, counts)
    return None if before is None or after is None else after - before
