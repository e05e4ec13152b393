"""One cell of a table of throughputs: its figure, and the batch that it or its title names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portproof.reports.claims.read.context import CHIP_NUMBERS, LARGEST_BATCH, batch_in
from portproof.reports.claims.read.grids import GridCell
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed

_BARE_BATCH = re.compile(r"(\d{1,4})")
_LABELLED = re.compile(
    rf"(?:bs|batch\s?(?:size)?)?\s?(\d{{1,3}})\s?[:=]\s?({NUMBER})"
    rf"|(?:bs|batch)\s?(\d{{1,3}})\s*[:=]?\s*({NUMBER})",
    re.IGNORECASE,
)
_TRAILING = re.compile(
    rf"({NUMBER})[^\d()]{{0,12}}\(\s?(?:bs|batch\s?(?:size)?)\s?[:=]?\s?(\d{{1,3}})\s?\)",
    re.IGNORECASE,
)
_VALUE = re.compile(
    rf"(?:[a-z]{{2,4}}\s?[:=]\s?)?({NUMBER})\s?(%|倍|x)?"
    r"\s*(?:fps|qps|samples?/s|im(?:a)?ge?s?/s|张/s|/s|s/s|wavs?/s|条/s|it/s)?",
    re.IGNORECASE,
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")


@dataclass(frozen=True)
class RateCell:
    """A figure in a table. ``batch`` is its row's (None: not named); ``own_batch`` is a batch
    printed inside the cell itself.
    """

    figure: Printed
    line: int
    row: int
    batch: int | None
    best: bool
    own_batch: int | None = None
    percent: bool = False


def batch_of(text: str, bare: bool) -> int | None:
    """The batch that a row or column title names; a bare number counts where the title's place says
    that it is one.
    """
    batch = batch_in(text)
    if batch is None and bare:
        match = _BARE_BATCH.fullmatch(text.strip().strip("*").strip())
        batch = (
            int(match[1])
            if match and 0 < int(match[1]) <= LARGEST_BATCH and match[1] not in CHIP_NUMBERS
            else None
        )
    return batch


def cell_value(cell: GridCell, row: int, batch: int | None, best: bool) -> RateCell | None:
    """The one figure of a cell; None if it holds no figure or several."""
    text = cell.text.strip().strip("*_$").strip()
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    trailing = _TRAILING.fullmatch(text)
    if trailing:
        return RateCell(as_printed(trailing[1]), cell.line, row, batch, best, int(trailing[2]))
    stripped = re.sub(r"\s?(?:fps|qps|samples/s)$", "", text, flags=re.IGNORECASE)
    labelled = _LABELLED.fullmatch(stripped)
    if labelled:
        own, number = (labelled[1], labelled[2]) if labelled[1] else (labelled[3], labelled[4])
        return RateCell(as_printed(number), cell.line, row, batch, best, int(own))
    match = _VALUE.fullmatch(text)
    return (
        RateCell(as_printed(match[1]), cell.line, row, batch, best, None, match[2] == "%")
        if match
        else None
    )
