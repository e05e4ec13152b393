"""The cross-device comparison table, built from logs: images per second per card, by batch and
device, with ratios.

Nothing is rounded here. A ratio is formed only between figures of one timing boundary, and
simulated figures are never shown beside measured ones. Every cell keeps its file and line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate. ``value``: images per second per card; ``printed``: what the log gives for
    ``chips_timed`` chips; ``how``: the working.
    """

    value: float
    printed: float
    batch: int
    boundary: str
    source: str
    line: int
    how: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A device. ``chips``: on a board; ``chips_from``: their source; ``cells``: by batch."""

    label: str
    chips: int
    chips_from: str
    cells: Mapping[int, Cell]

    @property
    def best(self) -> Cell | None:
        """The cell of the greatest rate; of the smaller batch on a tie."""
        return max(self.cells.values(), key=lambda cell: (cell.value, -cell.batch), default=None)


@dataclass(frozen=True, slots=True)
class Table:
    """The whole table. ``ratios``: pairs of labels, subject first. ``notes``: what a reader must
    know; ``left_out``: runs not shown and why.
    """

    columns: tuple[Column, ...]
    ratios: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def batches(self) -> list[int]:
        """Every batch that any column has, ascending."""
        return sorted({batch for column in self.columns for batch in column.cells})

    @property
    def boundaries(self) -> set[str]:
        """The timing boundaries in the table; more than one is a mixture."""
        return {cell.boundary for column in self.columns for cell in column.cells.values()}

    @property
    def simulated(self) -> bool:
        """Whether the figures are a rehearsal's."""
        return any(cell.simulated for column in self.columns for cell in column.cells.values())

    def column(self, label: str) -> Column:
        """The column of a label."""
        return next(column for column in self.columns if column.label == label)

    def ratio(self, pair: tuple[str, str], batch: int | None) -> float | None:
        """The ratio of two columns at a batch (None: of their best cells); None where a cell is
        empty or their boundaries differ.
        """
        a, b = (
            self.column(label).cells.get(batch) if batch is not None else self.column(label).best
            for label in pair
        )
        return a.value / b.value if a and b and a.boundary == b.boundary else None
