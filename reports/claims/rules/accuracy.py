"""Accuracy: result.json blocks compared, and "within 1 %" with published figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed

KIND = "accuracy"
_RESULT = re.compile(
    rf'"key"\s?:\s?"Top(\d) accuracy"\s?,\s?"value"\s?:\s?"({NUMBER})%"', re.IGNORECASE
)
_WITHIN = re.compile(
    r"精度(?:下降|损失|误差|差异|差距)[^。;]{0,12}?1\s?(?:%|个百?分?点)[^。;]{0,6}?(?:之?内|以内)"
    r"|精度[^。;,]{0,10}?(?:下降|损失)(?:小于|不超过)\s?1\s?%"
    r"|精度[^。]{0,40}?在\s?1\s?%(?:之?内|以内)|within 1\s?%",
    re.IGNORECASE,
)
_RULE_ONLY = re.compile(r"要求|如果|若|应|需|should|must|if", re.IGNORECASE)
PUBLISHED = re.compile(
    r"开源|官网|官方|公布|原论文|official|published|open[- ]source", re.IGNORECASE
)
TOP = re.compile(r"(?:top|acc@)\s?-?_?([15])(?!\d|\D{0,3}err)", re.IGNORECASE)

_LONE = re.compile(rf"(?<![\w.@:/-])({NUMBER})(?=\s?%|\s|$)")
_LONGEST_TITLE = 120

_Stated = tuple[Printed, int]


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """The document's result.json blocks, then its claim."""
    blocks = facts.once(result_blocks)
    for block in blocks:
        yield from _ascending(block)
    yield from _claim(facts, blocks)


def result_blocks(facts: DocumentFacts) -> list[dict[int, _Stated]]:
    """One dictionary a block: k of top-k to its accuracy in percent and its line."""
    blocks: list[dict[int, _Stated]] = []
    for number, line in enumerate(facts.document.lines):
        for match in _RESULT.finditer(line):
            k = int(match[1])
            if not blocks or k in blocks[-1]:
                blocks.append({})
            blocks[-1][k] = (as_printed(match[2]), number)
    return blocks


def _ascending(block: dict[int, _Stated]) -> Iterator[Answer]:
    """Top-k accuracy cannot fall when k grows."""
    ordered = [block[k] for k in sorted(block)]
    for (low, line), (high, other) in pairwise(ordered):
        verdict = Agreement.CONTRADICTION if low.value > high.value else Agreement.AGREES
        derived = f"not above {high.text}%, the accuracy of the next k"
        yield Checked(verdict, KIND, line + 1, f"{low.text}%", derived, other + 1)


def claim_line(facts: DocumentFacts) -> int | None:
    """The index of the line that claims an accuracy within 1 % of the published one."""
    lines = enumerate(facts.document.lines)
    return next(
        (n for n, line in lines if _WITHIN.search(line) and not _RULE_ONLY.search(line)), None
    )


def _claim(facts: DocumentFacts, blocks: list[dict[int, _Stated]]) -> Iterator[Answer]:
    claim = facts.once(claim_line)
    if claim is None:
        return
    for k, (official, line) in facts.once(published).items():
        reached = [block[k][0] for block in blocks if k in block]
        if not reached:
            continue
        worst = min(reached, key=lambda f: f.value)
        drop = official.value - worst.value
        # "1 %" is read as percentage points and as a fraction of the published figure: only what
        # breaks both is a contradiction.
        broken = drop > 1 + official.ulp + worst.ulp and drop > 0.01 * official.value + official.ulp
        same_task = official.value > 1 and drop < 0.5 * official.value
        verdict = (
            Agreement.AGREES
            if not broken
            else Agreement.CONTRADICTION
            if same_task and len(reached) <= 2
            else Agreement.AMBIGUOUS
        )
        derived = f"Top{k} {worst.text} is {drop:.4g} points below the published {official.text}"
        yield Checked(
            verdict, KIND, claim + 1, facts.document.lines[claim].strip()[:80], derived, line + 1
        )


def published(facts: DocumentFacts) -> dict[int, _Stated]:
    """Top-1 and Top-5 of the only table below a heading "published", if it has one row."""
    accuracies: dict[int, _Stated] = {}
    for grid in facts.grids:
        above = facts.document.headings_above(grid.line)
        near = " ".join(facts.document.lines[max(0, grid.line - 3) : grid.line])
        if len(grid.rows) != 2 or not (
            (above and PUBLISHED.search(above[0].text)) or PUBLISHED.search(near)
        ):
            continue
        for header, cell in zip(*grid.rows, strict=True):
            match = TOP.search(header.text)
            number = re.fullmatch(rf"({NUMBER})\s?%?", cell.text.strip())
            if match and number and "err" not in header.text.lower():
                k = int(match[1])
                if k in accuracies:
                    return {}
                accuracies[k] = (as_printed(number[1]), cell.line)
    return accuracies or _printed(facts)


def _printed(facts: DocumentFacts) -> dict[int, _Stated]:
    """The same printed as text: ``Model Acc@1 Acc@5`` above ``resnet18 69.758 89.078``, or ``Acc@1
    69.758``; nothing when it is there twice.
    """
    accuracies: dict[int, _Stated] = {}
    document = facts.document
    for number, line in enumerate(document.lines):
        names = (
            list(TOP.finditer(line))
            if "|" not in line and '"' not in line and len(line) < _LONGEST_TITLE
            else []
        )
        above = document.headings_above(number) if names else []
        if not names or not above or not PUBLISHED.search(above[0].text):
            continue
        rest, at = line[names[-1].end() :], number
        if not rest.strip() and number + 1 < len(document.lines):
            rest, at = document.lines[number + 1], number + 1
        printed = _LONE.findall(rest)[-len(names) :]
        for name, text in zip(names, printed, strict=False) if len(printed) == len(names) else ():
            k = int(name[1])
            if k in accuracies:
                return {}
            accuracies[k] = (as_printed(text), at)
    return accuracies
