"""Accuracy tables compared with claims ("within 1 %", "0.24 % below") and result.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.context import PORTED_TO, devices_in, states
from portproof.reports.claims.read.grids import Grid, GridCell
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed
from portproof.reports.claims.rules.accuracy import (
    KIND,
    PUBLISHED,
    TOP,
    claim_line,
    published,
    result_blocks,
)

_REFERENCE = re.compile(
    rf"{PUBLISHED.pattern}|pth|pytorch|原始?模型|参考精度|基准精度", re.IGNORECASE
)
_PORT = re.compile(r"(?<![A-Za-z])(?:om|npu|ascend)(?![A-Za-z])|离线推理", re.IGNORECASE)
_ACCURACY = re.compile(
    r"精度|acc|top[ -]?\d|map\b|iou|psnr|ssim|f1|rank|dice|recall|precision", re.IGNORECASE
)
_NO_ACCURACY = re.compile(
    r"性能|吞吐|fps|err|wer|cer|loss|时延|latency|fid|rmse|mae\b", re.IGNORECASE
)
_QUANTITY = re.compile(rf"(?<![\d.@A-Za-z-])({NUMBER})(?![\d.])\s?(%)?")
_DIFFERENCE = re.compile(
    r"精度[^,;。]{0,24}?(?:相差|下降|降低|损失|差距|高出?|提升|低)了?(?:约|仅)?为?"
    rf"\s?({NUMBER})\s?%(?!\s?(?:之?内|以内|范围))"
)
_SHARE = re.compile(rf"精度[^,;。]{{0,24}}?精度的\s?({NUMBER})\s?%(?!\s?(?:以上|之上))")
_TWO_AND_DROP = re.compile(
    rf"(?<![\d.])({NUMBER})\s?%[^。;%]{{0,24}}?(?<![\d.])({NUMBER})\s?%"
    r"(?: published)?\)?[,;]\s?(?:精度)?(?:仅|只)?"
    r"(?:下降|相差|降低|损失|低|a (?:drop|loss|difference) of)"
    rf"了?约?\s?({NUMBER})\s?(?:%|个百?分?点)(?!\s?(?:之?内|以内))"
)
_LONGEST = 300
_RULE = re.compile(r"要求|不超过|小于|大于|以内|之内|范围|应|需|<|>")
#: Points by which devices and batches of one model differ in honest tables.
_ANOTHER_RUN = 0.3
_RULE_POINTS = 1.0
_MOST_PAIRS = 100


@dataclass(frozen=True)
class _Reached:
    """A published and a reached accuracy of one metric, in percent."""

    published: Printed
    reached: Printed
    line: int
    devices: tuple[str, ...]


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """The claims of the document, against the pairs of its tables."""
    pairs = [pair for grid in facts.grids for pair in _pairs(grid)] or list(_apart(facts))
    if pairs:
        yield from _within(facts, pairs[:_MOST_PAIRS])
        yield from _stated(facts, pairs[:_MOST_PAIRS])
    yield from _sentences(facts)
    yield from _restated(facts)
    for grid in facts.grids:
        yield from _beyond_all(grid)


def _beyond_all(grid: Grid) -> Iterator[Answer]:
    """Top-k accuracies of more than all samples."""
    for row in grid.rows[1:]:
        for header, cell in zip(grid.rows[0], row, strict=True):
            names = f"{row[0].text} {header.text}"
            percent = re.fullmatch(rf"({NUMBER})\s?%", cell.text.strip())
            if percent and TOP.search(names) and not _NO_ACCURACY.search(names):
                over = as_printed(percent[1]).value > 100
                verdict = Agreement.CONTRADICTION if over else Agreement.AGREES
                yield Checked(verdict, KIND, cell.line + 1, cell.text, "not above 100%")


def _sentences(facts: DocumentFacts) -> Iterator[Answer]:
    """Two accuracies and their difference in one sentence: ``310P Top1 75.43%, official 75.61%, a
    drop of 0.18%``.
    """
    for number, line in enumerate(facts.document.lines):
        match = (
            _TWO_AND_DROP.search(line)
            if "%" in line and len(line) < _LONGEST and "|" not in line
            else None
        )
        if match is None or not _ACCURACY.search(line[: match.start(2)]):
            continue
        first, second, stated = (as_printed(match[group]) for group in (1, 2, 3))
        points = abs(first.value - second.value)
        possible = [points, *(100 * points / f.value for f in (first, second) if f.value)]
        slack = first.ulp + second.ulp + stated.ulp
        off = min(abs(stated.value - value) for value in possible)
        verdict = graded(off <= slack, off <= 2 * slack + 0.05)
        derived = f"{points:.4g} points = {first.text} against {second.text}"
        yield Checked(verdict, KIND, number + 1, f"{stated.text}%", derived, number + 1)


def _pairs(grid: Grid) -> Iterator[_Reached]:
    """Published beside reached accuracies, across (one column each) or down (one row each)."""
    headers = [cell.text for cell in grid.rows[0]]
    across = [
        (i, _role(text))
        for i, text in enumerate(headers)
        if _ACCURACY.search(text) and not _NO_ACCURACY.search(text)
    ]
    references = [i for i, role in across if role == "reference"]
    if len(references) == 1:
        for row in grid.rows[1:]:
            for i, role in across:
                if role == "port":
                    yield from _matched(row[references[0]], row[i], headers[i])
        return
    roles = [(row, _role(row[0].text)) for row in grid.rows[1:]]
    named = [row for row, role in roles if role == "reference"]
    if len(named) == 1:
        for row, role in roles:
            for i, header in enumerate(headers[1:], start=1):
                if role == "port" and _ACCURACY.search(header) and not _NO_ACCURACY.search(header):
                    yield from _matched(named[0][i], row[i], row[0].text)


def _apart(facts: DocumentFacts) -> Iterator[_Reached]:
    """Top-k accuracies of the port beside those published elsewhere in the document."""
    official = facts.once(published)
    for grid in facts.grids if official else ():
        for k, names, cell in _top_cells(grid):
            values = _percents(cell.text)
            if k in official and len(values) == 1:
                yield _Reached(official[k][0], values[0], cell.line, tuple(devices_in(names)))


def _top_cells(grid: Grid) -> Iterator[tuple[int, str, GridCell]]:
    """The port's cells of a top-k accuracy: k, the two titles, the cell."""
    for row in grid.rows[1:]:
        for header, cell in zip(grid.rows[0][1:], row[1:], strict=True):
            top = TOP.search(header.text) or TOP.search(row[0].text)
            names = f"{row[0].text} {header.text}"
            if top and not _NO_ACCURACY.search(names) and _role(names) == "port":
                yield int(top[1]), names, cell


def _role(text: str) -> str | None:
    if _REFERENCE.search(text):
        return "reference"
    ported = _PORT.search(text) or any(name in PORTED_TO for name in devices_in(text))
    return "port" if ported else None


def _matched(published: GridCell, reached: GridCell, title: str) -> Iterator[_Reached]:
    """The metrics of two cells, when they list as many and bear the same names."""
    left, right = _percents(published.text), _percents(reached.text)
    if len(left) == len(right) and not _NO_ACCURACY.search(published.text + reached.text):
        yield from (
            _Reached(a, b, reached.line, tuple(devices_in(title)))
            for a, b in zip(left, right, strict=True)
        )


def _percents(text: str) -> list[Printed]:
    percents = []
    for match in _QUANTITY.finditer(text):
        read = as_printed(match[1])
        small = read.value <= 1 and not match[2]
        percents.append(
            Printed(match[0].strip(), read.value * 100, read.ulp * 100)
            if small
            else Printed(match[0].strip(), read.value, read.ulp)
        )
    return percents


def _within(facts: DocumentFacts, pairs: list[_Reached]) -> Iterator[Answer]:
    claim = facts.once(claim_line)
    for pair in pairs if claim is not None else ():
        drop = pair.published.value - pair.reached.value
        slack = pair.published.ulp + pair.reached.ulp
        # Points or a fraction of the published figure: only what breaks both is a contradiction.
        broken = drop > _RULE_POINTS + slack and drop > 0.01 * pair.published.value + slack
        verdict = (
            Agreement.AGREES
            if not broken
            else Agreement.CONTRADICTION
            if drop < 0.5 * pair.published.value
            else Agreement.AMBIGUOUS
        )
        derived = (
            f"{pair.reached.text} is {drop:.4g} points below the published {pair.published.text}"
        )
        yield Checked(
            verdict,
            KIND,
            (claim or 0) + 1,
            facts.document.lines[claim or 0].strip()[:80],
            derived,
            pair.line + 1,
        )


def _stated(facts: DocumentFacts, pairs: list[_Reached]) -> Iterator[Answer]:
    """Differences and shares stated in prose: one of the pairs must show them."""
    for number, line in enumerate(facts.document.lines):
        if "|" in facts.document.raw[number] or not states(facts.document, number):
            continue
        for match in _DIFFERENCE.finditer(line):
            meant = _meant(line, match, pairs)
            points = [abs(p.published.value - p.reached.value) for p in meant]
            relative = [
                100 * d / p.published.value
                for d, p in zip(points, meant, strict=True)
                if p.published.value
            ]
            yield from _one_of(number, match, points + relative, meant)
        for match in _SHARE.finditer(line):
            meant = _meant(line, match, pairs)
            yield from _one_of(
                number,
                match,
                [100 * p.reached.value / p.published.value for p in meant if p.published.value],
                meant,
            )


def _meant(line: str, match: re.Match[str], pairs: list[_Reached]) -> list[_Reached]:
    """The pairs of the device that the clause names; all, if the table has none of it."""
    named = devices_in(line[max(0, match.start() - 12) : match.end()])[-1:]
    return [pair for pair in pairs if named and named[0] in pair.devices] or pairs


def _one_of(
    number: int, match: re.Match[str], possible: list[float], pairs: list[_Reached]
) -> Iterator[Answer]:
    stated = as_printed(match[1])
    if stated.digits < 2 or not possible or _RULE.search(match[0]):
        return
    slack = stated.ulp + max(p.published.ulp + p.reached.ulp for p in pairs)
    nearest = min(possible, key=lambda value: abs(value - stated.value))
    off = abs(nearest - stated.value)
    verdict = graded(off <= slack, off <= 2 * slack + 0.05)
    derived = f"{nearest:.4g}%, the nearest of the table"
    yield Checked(verdict, KIND, number + 1, match[0], derived, pairs[0].line + 1)


def _restated(facts: DocumentFacts) -> Iterator[Answer]:
    """Top-k accuracies of the port in tables, against the result.json blocks."""
    shown = [(k, read) for block in facts.once(result_blocks) for k, (read, _) in block.items()][
        :_MOST_PAIRS
    ]
    for grid in facts.grids if shown else ():
        for k, _, cell in _top_cells(grid):
            values = _percents(cell.text)
            known = [read for top, read in shown if top == k]
            if known and len(values) == 1:
                nearest = min(known, key=lambda read: abs(read.value - values[0].value))
                off = abs(nearest.value - values[0].value)
                verdict = (
                    Agreement.AGREES if off <= nearest.ulp + values[0].ulp else Agreement.AMBIGUOUS
                )
                verdict = Agreement.CONTRADICTION if off > _ANOTHER_RUN else verdict
                derived = f"{nearest.text}% in the result shown"
                yield Checked(verdict, KIND, cell.line + 1, values[0].text, derived)
