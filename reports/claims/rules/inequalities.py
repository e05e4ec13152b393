"""Figures restated in comparisons, ``batch16: 1635.3fps > 1.6 * 656.98fps``, compared with what the
document gives for the batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.rate_sources import rate_sources
from portproof.reports.claims.read.chips import device_of
from portproof.reports.claims.read.context import TUNED, batches_in, device_spans, states
from portproof.reports.claims.read.expressions import Term, Worked
from portproof.reports.claims.read.printed import OTHER_RUN, Printed, deviation, shown

KIND = "table-vs-log"
#: Thresholds such as 1.2 and 1.6; no throughput in these documents is compared by a smaller figure.
_LARGEST_THRESHOLD, _LEAST_DIGITS = 4.0, 3
_TITLE_ABOVE = 3
#: Figures that differ by more are of another quantity.
_SAME_KIND = 0.25
_MOST_LINES = 100


@dataclass(frozen=True)
class _Known:
    device: str
    value: float
    line: int


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every lone figure, or figure times a threshold, on either side of ``<`` and ``>``."""
    text = "\n".join(facts.document.lines)
    comparing = (
        (n, arithmetic)
        for n, arithmetic in facts.worked.items()
        if any(r in "<>" for worked in arithmetic for r in worked.relations)
    )
    for number, arithmetic in islice(comparing, _MOST_LINES):
        line = facts.document.lines[number]
        if not states(facts.document, number) or TUNED.search(line):
            continue
        for worked in arithmetic:
            if any(relation in "<>" for relation in worked.relations):
                yield from _sides(facts, number, worked, text)


def _sides(facts: DocumentFacts, number: int, worked: Worked, text: str) -> Iterator[Answer]:
    line = facts.document.lines[number]
    figures = [
        _restated(side)
        for index, side in enumerate(worked.sides)
        if index == 0 or worked.relations[index - 1] != "="
    ]
    known = _known(facts, number, _batches(facts, number, line))
    devices = {device for _, device in device_spans(line)}
    known = [k for k in known if len(devices) != 2 or k.device in devices]
    values = [side.value for side in worked.sides] + [f.value for f in figures if f]
    matched = {
        k.device for k in known for value in values if deviation(value, k.value) <= OTHER_RUN
    }
    others = [k for k in known if k.device not in matched]
    if not matched and batches_in(line):
        alone = [f for f in figures if f and text.count(f.text) == line.count(f.text)]
        yield from _both_strange(alone, known, number)
    for stated in figures:
        if stated is None or not known:
            continue
        if any(deviation(stated.value, k.value) <= OTHER_RUN + 2 * stated.slack for k in known):
            yield Checked(Agreement.AGREES, KIND, number + 1, stated.text, stated.text)
        elif matched and others and text.count(stated.text) == line.count(stated.text):
            nearest = min(others, key=lambda k: deviation(stated.value, k.value))
            derived = f"{shown(nearest.value)} ({nearest.device})"
            yield Checked(
                Agreement.CONTRADICTION, KIND, number + 1, stated.text, derived, nearest.line + 1
            )


def _both_strange(figures: list[Printed], known: list[_Known], number: int) -> Iterator[Answer]:
    """Two figures that are nowhere else, near those that the document has of the only two devices:
    other runs than the ones shown.
    """
    cards = {k.device: k for k in sorted(known, key=lambda k: k.value)}
    if len(figures) != 2 or len(cards) != 2:
        return
    ranked = sorted(figures, key=lambda f: f.value)
    pairs = list(zip(ranked, sorted(cards.values(), key=lambda k: k.value), strict=True))
    if all(OTHER_RUN < deviation(f.value, k.value) <= _SAME_KIND for f, k in pairs):
        for stated, card in pairs:
            derived = f"{shown(card.value)} ({card.device})"
            verdict = Agreement.CONTRADICTION
            yield Checked(verdict, KIND, number + 1, stated.text, derived, card.line + 1)


def _restated(side: Term) -> Printed | None:
    """The throughput of a side: alone, or beside a threshold. Worked figures (``x4``, ``1000/``)
    are claims, judged with these.
    """
    figures = [f for f, power in side.factors if power == 1]
    if len(figures) != len(side.factors) or len(figures) > 2:
        return None
    rates = [f for f in figures if f.value > _LARGEST_THRESHOLD and f.digits >= _LEAST_DIGITS]
    return rates[0] if len(rates) == 1 and not any(device_of(f.value) for f in figures) else None


def _batches(facts: DocumentFacts, number: int, line: str) -> list[int]:
    """The batch of the line, or of a short title right above it."""
    for at in range(number, max(-1, number - _TITLE_ABOVE), -1):
        named = (
            batches_in(facts.document.lines[at])
            if at == number or len(facts.document.lines[at]) < 20
            else []
        )
        if named:
            return named
    return []


def _known(facts: DocumentFacts, number: int, batches: list[int]) -> list[_Known]:
    """What other lines give for the batch, or for every batch where none is named."""
    known = [
        _Known(column.device or "", v.figure.value, v.line)
        for table in facts.tables
        for column in table.rates
        for v in column.values
        if not column.latency and (not batches or v.batch in batches)
    ]
    for (device, batch), sources in facts.once(rate_sources).items():
        if not batches or batch in batches:
            known += [
                _Known(device, value, source.line)
                for source in sources
                if source.line != number
                for value in (source.value, *source.others)
            ]
    return known
