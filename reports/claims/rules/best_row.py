"""Best rows: each column's own best, with the batch that it names."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.printed import deviation
from portproof.reports.claims.read.rate_cells import RateCell
from portproof.reports.claims.read.rate_tables import RateColumn, RateTable

KIND = "best-row"


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every cell of a best row in a column of throughputs."""
    for table in facts.tables:
        for column in table.rates:
            rows = [v for v in column.values if not v.best and v.batch is not None]
            bests = [v for v in column.values if v.best]
            if len(bests) == 1 and len(rows) >= 2 and not column.latency:
                if _is_batch(rows, bests[0]):
                    yield _batch_of_best(rows, bests[0])
                else:
                    yield _best(table, column, rows, bests[0])
                    yield from _named_batch(rows, bests[0])


def _is_batch(rows: list[RateCell], best: RateCell) -> bool:
    """Whether the best row names batches and not throughputs."""
    return best.figure.value in {v.batch for v in rows} and best.figure.value < min(
        v.figure.value for v in rows
    )


def _batch_of_best(rows: list[RateCell], best: RateCell) -> Checked:
    top = max(v.figure.value for v in rows)
    right = any(v.batch == best.figure.value and v.figure.value == top for v in rows)
    holder = next(v for v in rows if v.figure.value == top)
    verdict = Agreement.AGREES if right else Agreement.CONTRADICTION
    derived = f"bs{holder.batch} with {holder.figure.text}"
    return Checked(verdict, KIND, best.line + 1, f"bs{best.figure.text}", derived, holder.line + 1)


def _best(table: RateTable, column: RateColumn, rows: list[RateCell], best: RateCell) -> Checked:
    top = max(rows, key=lambda v: v.figure.value)
    precision = max(best.figure.ulp, top.figure.ulp)
    coarser = best.figure.ulp > top.figure.ulp
    if best.figure.value == top.figure.value or (
        coarser and abs(best.figure.value - top.figure.value) <= precision
    ):
        verdict = Agreement.AGREES
    elif best.figure.value == min(v.figure.value for v in rows) or (
        best.figure.value > top.figure.value and not _others_fit(table, best)
    ):
        # The least of a column is the best of a latency; a value above all rows may come from a
        # batch that is not shown.
        verdict = Agreement.AMBIGUOUS
    elif _is_one_row(table, best):
        verdict = Agreement.AMBIGUOUS
    elif (
        any(v.figure.value == best.figure.value for v in rows)
        or deviation(best.figure.value, top.figure.value) > 0.001
    ):
        verdict = Agreement.CONTRADICTION
    else:
        verdict = Agreement.AMBIGUOUS
    derived = f"{top.figure.text} (bs{top.batch}, the column's largest)"
    return Checked(verdict, KIND, best.line + 1, best.figure.text, derived, top.line + 1)


def _others_fit(table: RateTable, best: RateCell) -> bool:
    """Whether the best row has the largest cell of each column: no other row is missing."""
    pairs = [
        (cell.figure.value, max((v.figure.value for v in column.values if not v.best), default=0.0))
        for column in table.rates
        for cell in column.values
        if cell.row == best.row and cell is not best
    ]
    return bool(pairs) and all(cell == largest for cell, largest in pairs)


def _is_one_row(table: RateTable, best: RateCell) -> bool:
    """Whether the best row repeats one batch's whole row: best by one device."""
    cells = [(c, v) for c in table.rates for v in c.values if v.row == best.row]
    shared: set[int | None] | None = None
    for column, cell in cells:
        batches = {
            v.batch for v in column.values if not v.best and v.figure.value == cell.figure.value
        }
        shared = batches if shared is None else shared & batches
    return bool(shared) and len(cells) >= 2


def _named_batch(rows: list[RateCell], best: RateCell) -> Iterator[Answer]:
    """A batch printed with the best figure, as in ``16:6005.48``."""
    if best.own_batch is None:
        return
    holders = [v for v in rows if v.figure.value == best.figure.value]
    named = next((v for v in rows if v.batch == best.own_batch), None)
    if not holders or named is None:
        return
    verdict = (
        Agreement.AGREES
        if any(v.batch == best.own_batch for v in holders)
        else Agreement.CONTRADICTION
    )
    derived = f"bs{holders[0].batch}: bs{best.own_batch} is {named.figure.text}"
    stated = f"bs{best.own_batch} {best.figure.text}"
    yield Checked(verdict, "log-self", best.line + 1, stated, derived, holders[0].line + 1)
