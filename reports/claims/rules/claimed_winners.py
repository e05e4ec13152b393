"""Verdicts in words, "故310性能高于T4性能", compared for every batch that the document has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.known_rates import Rate, common_batches, devices_named, rates
from portproof.reports.claims.read.chips import most_chips
from portproof.reports.claims.read.context import TUNED, batches_in, states
from portproof.reports.claims.read.printed import OTHER_RUN, shown

KIND = "policy"
_VERDICT = re.compile(
    r"(?P<left>(?:310P?\d?|710|npu|T4|gpu)[^,;。<>=\d]{0,12}?)(?:均|都)?"
    r"(?P<sign>高于|优于|超过|大于|好于|低于|小于|不如|不及|差于)"
    r"(?P<right>[^,;。<>=\d]{0,4}?(?:310P?\d?|710|npu|T4|gpu))(?![^,;。]{0,12}(?:倍|%))",
    re.IGNORECASE,
)
_LESS = ("低于", "小于", "不如", "不及", "差于")
_NOT_ASKED = re.compile(r"要求|如果|若|需|精度|时延|耗时|功耗|内存|未|不能|没有|部分")
_SPEED = re.compile(r"性能|吞吐|fps", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;。]")


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every sentence of prose that says which of two devices is faster."""
    for number, line in enumerate(facts.document.lines):
        if (
            "|" in facts.document.raw[number]
            or not states(facts.document, number)
            or len(line) > 400
            or TUNED.search(line)
        ):
            continue
        for match in _VERDICT.finditer(line):
            clause = (
                _CLAUSE.split(line[: match.start()])[-1]
                + match[0]
                + _CLAUSE.split(line[match.end() :], maxsplit=1)[0]
            )
            if _SPEED.search(clause) and not _NOT_ASKED.search(clause):
                yield from _verdict(facts, number, match, batches_in(clause))


def _verdict(
    facts: DocumentFacts, number: int, match: re.Match[str], named: list[int]
) -> Iterator[Answer]:
    """Refuted if it is wrong for every batch and every reading of the figures."""
    devices = devices_named(facts, match["left"])[-1:] + devices_named(facts, match["right"])[-1:]
    if len(devices) != 2 or devices[0] == devices[1]:
        return
    less = match["sign"] in _LESS
    known = []
    for batch in named or common_batches(facts, devices):
        tops, bottoms = (rates(facts, device, batch, number) for device in devices)
        if tops and bottoms:
            known.append((tops, bottoms))
    if not known:
        return
    refuted = all(
        _refuted(bottoms, tops) if less else _refuted(tops, bottoms) for tops, bottoms in known
    )
    verdict = Agreement.CONTRADICTION if refuted else Agreement.AGREES
    tops, bottoms = known[0]
    derived = f"{shown(tops[0].value)} against {shown(bottoms[0].value)}"
    yield Checked(verdict, KIND, number + 1, match[0], derived, tops[0].line + 1)


def _refuted(faster: list[Rate], slower: list[Rate]) -> bool:
    """Whether every figure of what is called faster is clearly below every figure of
    the other.
    """
    # What may be one chip's figure may mean a card that is as many times as fast as it has chips.
    most = max(rate.value * (1 if rate.card else most_chips()) for rate in faster)
    return most * (1 + OTHER_RUN) < min(rate.value for rate in slower)
