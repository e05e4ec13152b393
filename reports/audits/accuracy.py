"""Accuracy: result.json blocks held against themselves, and the claim "within 1 %" against published figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from portproof.reports.audits.facts import Facts
from portproof.reports.audits.figures import NUMBER, Figure, figure
from portproof.reports.audits.findings import Finding, Outcome, Verdict
from portproof.reports.audits.grids import grids

KIND = "accuracy"
_RESULT = re.compile(rf'"key"\s?:\s?"Top(\d) accuracy"\s?,\s?"value"\s?:\s?"({NUMBER})%"', re.IGNORECASE)
_WITHIN = re.compile(r"精度(?:下降|损失|误差)[^。;]{0,12}?1\s?%[^。;]{0,6}?(?:之?内|以内)|within 1\s?%", re.IGNORECASE)
_RULE_ONLY = re.compile(r"要求|如果|若|应|需|should|must|if", re.IGNORECASE)
_PUBLISHED = re.compile(r"开源|官网|官方|公布|原论文|official|published|open[- ]source", re.IGNORECASE)
_TOP = re.compile(r"(?:top|acc@)\s?-?_?([15])(?!\d|\D{0,3}err)", re.IGNORECASE)

_Stated = tuple[Figure, int]


def check(facts: Facts) -> Iterator[Outcome]:
    """The document's result.json blocks, then its claim."""
    blocks = _blocks(facts)
    for block in blocks:
        yield from _ascending(block)
    yield from _claim(facts, blocks)


def _blocks(facts: Facts) -> list[dict[int, _Stated]]:
    """One dictionary a block: k of top-k to its accuracy in percent and its line."""
    blocks: list[dict[int, _Stated]] = []
    for number, line in enumerate(facts.document.lines):
        for match in _RESULT.finditer(line):
            k = int(match[1])
            if not blocks or k in blocks[-1]:
                blocks.append({})
            blocks[-1][k] = (figure(match[2]), number)
    return blocks


def _ascending(block: dict[int, _Stated]) -> Iterator[Outcome]:
    """Top-k accuracy cannot fall when k grows."""
    ordered = [block[k] for k in sorted(block)]
    for (low, line), (high, other) in pairwise(ordered):
        verdict = Verdict.CONTRADICTION if low.value > high.value else Verdict.AGREES
        yield Finding(verdict, KIND, line + 1, f"{low.text}%", f"not above {high.text}%, the accuracy of the next k", other + 1)


def _claim(facts: Facts, blocks: list[dict[int, _Stated]]) -> Iterator[Outcome]:
    claim = next((n for n, line in enumerate(facts.document.lines) if _WITHIN.search(line) and not _RULE_ONLY.search(line)), None)
    published = _published(facts)
    if claim is None:
        return
    for k, (official, line) in published.items():
        reached = [block[k][0] for block in blocks if k in block]
        if not reached:
            continue
        worst = min(reached, key=lambda f: f.value)
        drop = official.value - worst.value
        # "1 %" is read as percentage points and as a fraction of the published figure: only what breaks both is a contradiction.
        broken = drop > 1 + official.ulp + worst.ulp and drop > 0.01 * official.value + official.ulp
        same_task = official.value > 1 and drop < 0.5 * official.value
        verdict = Verdict.AGREES if not broken else Verdict.CONTRADICTION if same_task and len(reached) <= 2 else Verdict.AMBIGUOUS
        derived = f"Top{k} {worst.text} is {drop:.4g} points below the published {official.text}"
        yield Finding(verdict, KIND, claim + 1, facts.document.lines[claim].strip()[:80], derived, line + 1)


def _published(facts: Facts) -> dict[int, _Stated]:
    """Top-1 and Top-5 of the only table below a heading that says "published", when it has one row."""
    found: dict[int, _Stated] = {}
    for grid in grids(facts.document):
        above = facts.document.headings_above(grid.line)
        near = " ".join(facts.document.lines[max(0, grid.line - 3) : grid.line])
        if len(grid.rows) != 2 or not ((above and _PUBLISHED.search(above[0].text)) or _PUBLISHED.search(near)):
            continue
        for header, cell in zip(*grid.rows, strict=True):
            match = _TOP.search(header.text)
            number = re.fullmatch(rf"({NUMBER})\s?%?", cell.text.strip())
            if match and number and "err" not in header.text.lower():
                k = int(match[1])
                if k in found:
                    return {}
                found[k] = (figure(number[1]), cell.line)
    return found
