"""Worked arithmetic: whether the right side follows, and the operands are the log's."""

from __future__ import annotations

import math
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.context import states
from portproof.reports.claims.read.expressions import Term
from portproof.reports.claims.read.printed import RESTATED, Printed, deviation, judge, same, shown


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every worked equation and comparison outside commands and logs."""
    taken = {reading.line for log in facts.logs for reading in log.readings.values()}
    for number, arithmetic in facts.worked.items():
        line = facts.document.lines[number]
        for worked in arithmetic if number not in taken else ():
            for index, relation in enumerate(worked.relations):
                left, right = worked.sides[index], worked.sides[index + 1]
                if relation == "=" and left.is_worked and right.figure:
                    yield _equation(number, left, right.figure, line[worked.end : worked.end + 1])
                elif relation in "<>" and states(facts.document, number):
                    yield from _comparison(number, left, right, relation)


def _equation(number: int, left: Term, stated: Printed, after: str) -> Checked:
    """The verdict on one equation; ``after``, the next character, may change its scale."""
    percent, suffixed = after == "%", after in tuple("kKMGTW万亿")
    readings = [left.value, left.value * 100] if percent else [left.value]
    nearest = min(readings, key=lambda value: deviation(stated.value, value))
    verdict = judge(stated, nearest, RESTATED, left.slack)
    if verdict is Agreement.CONTRADICTION and (
        suffixed or _is_other_unit(stated, nearest, left.slack)
    ):
        verdict = Agreement.AMBIGUOUS
    text = f"{left.text}={stated.text}"
    return Checked(
        verdict, "product", number + 1, text, f"{shown(nearest)} = {left.text}", number + 1
    )


def _is_other_unit(stated: Printed, derived: float, slack: float) -> bool:
    """Whether the two differ by a power of ten only: a unit that the equation leaves out."""
    if derived <= 0 or stated.value <= 0:
        return True
    power = round(math.log10(stated.value / derived))
    return power != 0 and same(stated, derived * 10.0**power, slack)


def _comparison(number: int, left: Term, right: Term, relation: str) -> Iterator[Answer]:
    if not any("." in side.text for side in (left, right)):
        return
    holds = left.value > right.value if relation == ">" else left.value < right.value
    close = deviation(left.value, right.value) <= RESTATED
    verdict = graded(holds, close)
    derived = f"{shown(left.value)} {'<' if left.value < right.value else '>'} {shown(right.value)}"
    yield Checked(
        verdict, "product", number + 1, f"{left.text} {relation} {right.text}", derived, number + 1
    )
