"""Tables that show the same run twice: their cells of one device and batch compared."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.printed import OTHER_RUN, deviation, same
from portproof.reports.claims.read.rate_cells import RateCell
from portproof.reports.claims.read.rate_tables import RateTable

KIND = "table-vs-log"
#: So many equal cells make two tables one run.
_FEWEST_SHARED = 2
_MOST_TABLES = 20


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every pair of tables; the smaller one is compared with the larger."""
    for pair in combinations(facts.tables[:_MOST_TABLES], 2):
        smaller, larger = sorted((_cells(table) for table in pair), key=len)
        shared = [(cell, larger[key]) for key, cell in smaller.items() if key in larger]
        equal = [
            a for a, b in shared if same(a.figure, b.figure.value) or same(b.figure, a.figure.value)
        ]
        if len(equal) < _FEWEST_SHARED or len(equal) <= len(shared) / 2:
            continue
        for cell, other in shared:
            if cell not in equal and deviation(cell.figure.value, other.figure.value) > OTHER_RUN:
                derived = (
                    f"{other.figure.text} in the other table, which shares {len(equal)} figures"
                    " with this one"
                )
                yield Checked(
                    Agreement.CONTRADICTION,
                    KIND,
                    cell.line + 1,
                    cell.figure.text,
                    derived,
                    other.line + 1,
                )


def _cells(table: RateTable) -> dict[tuple[str, int], RateCell]:
    """The throughputs by device and batch, without variants, bests and what is there twice."""
    cells: dict[tuple[str, int], RateCell] = {}
    for column in table.rates:
        alone = (
            column.device
            and not column.variant
            and not column.latency
            and len(table.of(column.device)) == 1
        )
        cells |= {
            (column.device or "", v.batch): v
            for v in column.values
            if alone and v.batch and not v.best
        }
    return cells
