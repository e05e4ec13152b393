"""Bests named in prose, "310P最优batch为16，达2092.6fps", compared with the tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.known_rates import devices_named
from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import TUNED, batches_in, states
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed, deviation, same
from portproof.reports.claims.read.rate_cells import RateCell
from portproof.reports.claims.read.rate_tables import RateColumn

KIND = "best-row"
_BEST = re.compile(r"最优|最佳|最高|\bbest\b|\bhighest\b", re.IGNORECASE)
#: A comma, but not the one of "1,203.2fps".
_CLAUSE = re.compile(r"[;。]|\.(?=\s|$)|,(?!\d{3}(?:\.\d|\s?fps))")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?:\.\d{1,9})?\s?fps)", re.IGNORECASE)
_BATCH_OF = re.compile(
    r"best batch(?: size)? (?:of|for|on) [^,;。]{2,16}? is (\d{1,3})(?![\d.])", re.IGNORECASE
)
_RATE = re.compile(
    rf"(?<![A-Za-z0-9_.])({NUMBER})\s?(?:fps|qps|samples/s)(?![A-Za-z])", re.IGNORECASE
)
_ONE_BATCH = re.compile(r"单卡|时的?精度|精度")
_LONGEST = 200


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every line of prose that names the best of one device whose table has several batches."""
    for number, line in enumerate(facts.document.lines):
        if (
            "|" in facts.document.raw[number]
            or len(line) > _LONGEST
            or not states(facts.document, number)
        ):
            continue
        if _BEST.search(line) and not TUNED.search(line):
            yield from _line(facts, number, line)


def _line(facts: DocumentFacts, number: int, line: str) -> Iterator[Answer]:
    device: list[str] = []
    #: What the clause about the best has not named yet: the next clause may.
    open_batch = open_rate = False
    for part in _parts(line):
        device = devices_named(facts, part) or device
        batches = batches_in(part) or [int(m[1]) for m in _BATCH_OF.finditer(part)]
        rates = [as_printed(m[1]) for m in _RATE.finditer(part)]
        if _BEST.search(part):
            open_batch = open_rate = True
        elif (batches and not open_batch) or (rates and not open_rate):
            # The clause is about another batch than the best.
            open_batch = open_rate = False
        if (open_batch or open_rate) and len(device) == 1 and not _ONE_BATCH.search(part):
            yield from _statement(
                facts, number, device[0], batches if open_batch else [], rates if open_rate else []
            )
        open_batch, open_rate = open_batch and not batches, open_rate and not rates


def _parts(line: str) -> list[str]:
    """The clauses; words in brackets belong to the clause before them."""
    text = _THOUSANDS.sub("", line)
    text = re.sub(r"\([^()]*\)", lambda bracket: bracket[0].replace(",", " "), text)
    return [part for part in _CLAUSE.split(text) if part.strip()]


def _statement(
    facts: DocumentFacts, number: int, device: str, batches: list[int], rates: list[Printed]
) -> Iterator[Answer]:
    columns = [
        c
        for table in facts.tables
        for c in table.of(device)
        if not c.latency and len(_rows(c)) >= 2
    ]
    if not columns or any(c.variant for c in columns) or len(batches) > 1 or len(rates) > 1:
        return
    tops = [max(_rows(column), key=lambda v: v.figure.value) for column in columns]
    derived = "; or ".join(f"bs{top.batch} with {top.figure.text}" for top in tops)
    if batches:
        holders = {
            v.batch
            for c, top in zip(columns, tops, strict=True)
            for v in _rows(c)
            if v.figure.value == top.figure.value
        }
        verdict = Agreement.AGREES if batches[0] in holders else Agreement.CONTRADICTION
        if all(batches[0] not in {v.batch for v in _rows(c)} for c in columns):
            verdict = Agreement.AMBIGUOUS
        yield Checked(
            verdict, KIND, number + 1, f"{device} best at bs{batches[0]}", derived, tops[0].line + 1
        )
    if rates:
        stated = rates[0]
        close = any(
            same(stated, top.figure.value) or deviation(stated.value, top.figure.value) <= 0.001
            for top in tops
        )
        # Where a card has several chips, one chip's rate may be meant.
        card, chips = stated.value * chips_of(device), chips_of(device) > 1
        chips = chips and any(deviation(card, top.figure.value) <= 0.01 for top in tops)
        verdict = graded(close, chips or len(tops) > 1)
        yield Checked(verdict, KIND, number + 1, stated.text, derived, tops[0].line + 1)


def _rows(column: RateColumn) -> list[RateCell]:
    return [v for v in column.values if v.batch and not v.best]
