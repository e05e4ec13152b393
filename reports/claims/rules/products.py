"""Worked arithmetic: whether the right side follows, and the operands are the log's."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.context import CHIP_NUMBERS, states
from portproof.reports.claims.read.expressions import Term
from portproof.reports.claims.read.printed import RESTATED, Printed, deviation, judge, same, shown

#: Digits of a figure that somebody measured.
_MEASURED = 3
_WORD = re.compile(r"\w")
#: Digits of what it is multiplied by: chips, a threshold.
_MULTIPLE = 2
#: A result that is so many times the right one is of something else.
_FAR = 10.0
#: Nobody compares a figure with one that is so many times as large.
_SAME_KIND = 2.0


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every worked equation and comparison outside commands and logs."""
    taken = {reading.line for log in facts.logs for reading in log.readings.values()}
    for number, arithmetic in facts.worked.items():
        line = facts.document.lines[number]
        for worked in arithmetic if number not in taken else ():
            for index, relation in enumerate(worked.relations):
                left, right = worked.sides[index], worked.sides[index + 1]
                if relation == "=" and left.is_worked and right.figure:
                    alone = not _WORD.search(line[: worked.start] + line[worked.end :])
                    after = line[worked.end : worked.end + 1]
                    yield _equation(number, left, right.figure, after, alone)
                elif relation in "<>" and states(facts.document, number):
                    yield from _comparison(number, left, right, relation)


def _equation(number: int, left: Term, stated: Printed, after: str, alone: bool) -> Checked:
    """The verdict on one equation; ``after``, the next character, may change its scale. One that
    stands ``alone`` in its line is meant as one, whatever it is of.
    """
    percent, suffixed = after == "%", after in tuple("kKMGTW万亿")
    readings = [left.value, left.value * 100] if percent else [left.value]
    nearest = min(readings, key=lambda value: deviation(stated.value, value))
    verdict = judge(stated, nearest, RESTATED, left.slack)
    if verdict is Agreement.CONTRADICTION and (
        suffixed
        or not (alone or _is_of_rates(left))
        or not 1 / _FAR < stated.value / (nearest or 1) < _FAR
        or _is_other_unit(stated, nearest, left.slack)
    ):
        verdict = Agreement.AMBIGUOUS
    text = f"{left.text}={stated.text}"
    return Checked(
        verdict, "product", number + 1, text, f"{shown(nearest)} = {left.text}", number + 1
    )


def _is_of_rates(side: Term) -> bool:
    """Whether arithmetic is that of a rate: over a second of 1000 ms, or a measured figure times a
    number. Other numbers between signs need be no arithmetic at all.
    """
    figures = [figure for figure, _ in side.factors]
    if any(figure.text in ("1000", "000") for figure in figures) or not figures:
        return True
    if len(figures) != 2 or any(figure.text in CHIP_NUMBERS for figure in figures):
        return False
    low, high = sorted(figures, key=lambda figure: figure.value)
    multiple = high.digits >= _MEASURED and low.digits <= _MULTIPLE and low.value < high.value
    return multiple and all(power == 1 for _, power in side.factors)


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
    low, high = sorted((left.value, right.value))
    near = high < _SAME_KIND * low
    sides = [side for side in (left, right) if side.is_worked]
    chips = any(side.figure and side.figure.text in CHIP_NUMBERS for side in (left, right))
    meant = all(map(_is_of_rates, sides)) and (near or len(sides) == 2) and not chips
    verdict = graded(holds, close or not meant)
    derived = f"{shown(left.value)} {'<' if left.value < right.value else '>'} {shown(right.value)}"
    yield Checked(
        verdict, "product", number + 1, f"{left.text} {relation} {right.text}", derived, number + 1
    )
