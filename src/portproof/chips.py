"""The chips of a board side by side: what one does alone, and all of them together."""

from __future__ import annotations

from dataclasses import dataclass

from portproof.measurement import Boundary, Performance, Scope


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One batch and boundary of a board, in images per second: one chip ``alone``, all ``chips``
    ``together``, and ``each`` of them at that time, by device.
    """

    batch: int
    boundary: Boundary
    chips: int
    alone: float
    together: float
    each: dict[str, float | None]

    @property
    def product(self) -> float:
        """The rate that is usually stated for a board: one chip's times the chips."""
        return self.alone * self.chips

    @property
    def share(self) -> float:
        """The fraction of that product that the chips reach together."""
        return self.together / self.product


def board_rows(performance: Performance) -> list[BoardRow]:
    """The rows of a ``card.json``, as measured; without those in which nothing was timed."""
    rates: dict[tuple[Scope, int, Boundary], dict[str, float | None]] = {}
    for m in performance.measurements:
        by_device = rates.setdefault((m.scope, m.batch, m.boundary), {})
        by_device[str(m.device)] = m.images_per_second
    rows = []
    for m in performance.measurements:
        alone = next(iter(rates.get(("alone", m.batch, m.boundary), {}).values()), None)
        if m.scope == "together" and alone and m.images_per_second:
            each = rates.get(("chip", m.batch, m.boundary), {})
            row = BoardRow(m.batch, m.boundary, m.chips, alone, m.images_per_second, each)
            rows.append(row)
    return rows
