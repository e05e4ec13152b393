"""From outputs that differ back to the operators whose inputs still agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from portproof.metrics.layerwise.counterparts import Sources
from portproof.metrics.layerwise.graph import Tensor


class Walk:
    """The compared tensors as a graph. ``pairs``: tensor of A -> tensor of B; the graph is that of
    ``tensors``, which bear the names of A, or of B if ``by_b``.
    """

    def __init__(self, pairs: Mapping[str, str], tensors: Sequence[Tensor], by_b: bool) -> None:
        self._pairs, self._by_b = pairs, by_b
        self._a_of = {y: x for x, y in pairs.items()}
        self._sources = Sources(tensors)

    def before(self, name: str) -> set[str]:
        """The compared tensors of A nearest before one."""
        if not self._by_b:
            return self._sources.of(name, self._pairs)
        return {self._a_of[y] for y in self._sources.of(self._pairs[name], self._a_of)}

    def failing(self, outputs: Sequence[str], differs: Callable[[str], bool]) -> list[str]:
        """The tensors on the way to the outputs that differ while all that is before them does not,
        in no order.
        """
        found: list[str] = []
        seen = {name for name in outputs if differs(name)}
        stack = list(seen)
        while stack:
            name = stack.pop()
            wrong = {n for n in self.before(name) if differs(n)} - {name}
            if not wrong:
                found.append(name)
            stack += wrong - seen
            seen |= wrong
        return found
