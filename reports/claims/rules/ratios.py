"""Ratio columns compared with the quotients of the table's own cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.chips import most_chips
from portproof.reports.claims.read.printed import RATIO, Printed, deviation, same, shown
from portproof.reports.claims.read.rate_cells import RateCell
from portproof.reports.claims.read.rate_tables import ANY_TWO, RateColumn, RateTable


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every ratio whose header names two devices that the table has."""
    for table in facts.tables:
        for column in table.ratios:
            yield from _with_doubt(
                column,
                [judged for value in column.values if (judged := _ratio(table, column, value))],
            )


def judged_columns(facts: DocumentFacts) -> set[tuple[int, str]]:
    """The line of the table and the title of each ratio column whose operands this rule knows."""
    return {
        (table.line, column.header)
        for table in facts.tables
        for column in table.ratios
        if any(_operands(table, column, value) for value in column.values)
    }


def _with_doubt(column: RateColumn, findings: list[tuple[Checked, float]]) -> Iterator[Answer]:
    """If most of a column contradicts its header, the header may mean something else."""
    wrong = [finding for finding, _ in findings if finding.verdict is Agreement.CONTRADICTION]
    factors = [factor for finding, factor in findings if finding.verdict is Agreement.CONTRADICTION]
    constant = len(factors) > 1 and max(factors) - min(factors) <= RATIO * max(factors)
    # One chip's rate divided by a card's, or the reverse, is off by the chips of the card.
    chips = most_chips()
    by_chips = bool(factors) and all(
        min(deviation(factor, chips), deviation(factor, 1 / chips)) <= RATIO for factor in factors
    )
    # Where most of a column fits its header, two that are off alike are two errors.
    constant = constant and 2 * len(wrong) >= len(findings)
    doubtful = by_chips or (len(wrong) > 1 and (constant or len(wrong) > 0.6 * len(findings)))
    for finding, _ in findings:
        if doubtful and finding.verdict is Agreement.CONTRADICTION:
            why = f"{finding.derived}; most of the column '{column.header}' does not fit its header"
            yield replace(finding, verdict=Agreement.AMBIGUOUS, derived=why)
        else:
            yield finding


def _operands(
    table: RateTable, column: RateColumn, value: RateCell
) -> list[tuple[RateCell, RateCell]]:
    """The cells that the ratio may be the quotient of."""
    if column.over == ANY_TWO:
        cells = [v for c in table.rates if (v := c.at(value.row))]
        return [(cells[0], cells[1]), (cells[1], cells[0])] if len(cells) == 2 else []
    tops = [v for c in table.of(column.device or "") if (v := c.at(value.row))]
    bottoms = [v for c in table.of(column.over or "") if (v := c.at(value.row))]
    return [(top, bottom) for top in tops for bottom in bottoms]


def _ratio(table: RateTable, column: RateColumn, value: RateCell) -> tuple[Checked, float] | None:
    """The verdict on one ratio, and stated over derived."""
    quotients = [
        (t.figure, b.figure)
        for t, b in _operands(table, column, value)
        if t.figure.value and b.figure.value
    ]
    if not quotients:
        return None
    stated = value.figure
    if value.percent:
        stated = Printed(stated.text, stated.value / 100, stated.ulp / 100)
    top, bottom = min(
        quotients, key=lambda pair: deviation(stated.value, pair[0].value / pair[1].value)
    )
    # Cells printed as whole numbers are rounded too.
    derived = top.value / bottom.value
    slack = 0.5 * top.ulp / top.value + 0.5 * bottom.ulp / bottom.value
    gain = any(word in column.header for word in ("提升", "增", "加速"))
    grows = gain and same(stated, derived - 1, slack)
    verdict = graded(
        grows or same(stated, derived, slack), deviation(stated.value, derived) <= RATIO + slack
    )
    shown_as = f"{shown(100 * derived)}%" if value.percent else shown(derived)
    text = value.figure.text + ("%" if value.percent else "")
    follows = f"{shown_as} = {top.text}/{bottom.text}"
    finding = Checked(verdict, "ratio", value.line + 1, text, follows, value.line + 1)
    return finding, stated.value / derived
