"""Accuracies as shares of samples: a percentage must be a whole number of them, its interval and
the two-by-two table of a paired comparison must say the same.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.grids import Grid
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed, shown

KIND = "accuracy"
_PERCENT = rf"({NUMBER})\s?%"
_SAMPLES = re.compile(r"(?<![\d.])(\d{1,7}) ?(?:samples\b|个样本)")
_INTERVAL = re.compile(
    rf"(?:Top-?1\b[^%]{{0,40}}Wilson[^%]{{0,20}}?|Wilson[^%]{{0,20}}?)"
    rf"{_PERCENT} (?:to|至) {_PERCENT}"
)
#: "reference 98.28 %, port 98.10 % Top-1 of 697 samples"
_BOTH = re.compile(rf"reference {_PERCENT}, port {_PERCENT} Top-1 of (\d{{1,7}}) samples")
_DIFFERENCE = re.compile(
    rf"(?:[Dd]ifference|差值) ?([+-])({NUMBER}) ?(?:percentage )?(?:points|个百分点)"
)
_ROW = re.compile(r"^\s*(?:reference|\S{1,40}) (right|wrong)\s+(\d{1,7})\s+(\d{1,7})\b")
_RIGHT, _WRONG = re.compile("right|正确"), re.compile("wrong|错误")
_TOP = re.compile(r"top-?(\d{1,2})(?: accuracy)?", re.IGNORECASE)
_AGREEMENT = re.compile(
    rf"agreement {_PERCENT}|same class was predicted for {_PERCENT}|两者对 ?{_PERCENT}"
)
_MCNEMAR = re.compile(rf"McNemar[^=]{{0,16}}p ?= ?({NUMBER})")
#: 2**flips must be a float.
_MOST_FLIPS = 1000
#: The 97.5 % point of the normal distribution.
_Z = 1.959963984540054
_NEAR = 12


@dataclass(frozen=True)
class _Pairs:
    """How many samples both, only the columns', only the rows' and neither model got right."""

    both: int
    only_row: int
    only_column: int
    neither: int
    line: int
    row: str = ""
    column: str = ""

    @property
    def samples(self) -> int:
        """All of them."""
        return self.both + self.only_row + self.only_column + self.neither


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Tables of Top-N with their number of samples, then paired comparisons."""
    tables = [pairs for grid in facts.grids if (pairs := _paired(grid))]
    for grid in facts.grids:
        yield from _tops(facts, grid, tables[0] if len(tables) == 1 else None)
        if pairs := _paired(grid):
            above = _samples_above(facts, grid)
            yield from _compared(facts, pairs, above, [table.line for table in tables])
    if pairs := _pairs_in_text(facts):
        yield from _compared(facts, pairs, None, [pairs.line])


def _tops(facts: DocumentFacts, grid: Grid, pairs: _Pairs | None) -> Iterator[Answer]:
    """Shares of the samples named right below a table of Top-N; they cannot fall with N."""
    columns = [(int(m[1]), i) for i, c in enumerate(grid.rows[0]) if (m := _TOP.fullmatch(c.text))]
    if len(columns) < 2 or len(grid.rows) != 2:
        return
    cells = [(k, grid.rows[1][i]) for k, i in sorted(columns)]
    reads = [(k, m, cell.line) for k, cell in cells if (m := re.fullmatch(_PERCENT, cell.text))]
    tops = [(k, as_printed(m[1]), line) for k, m, line in reads]
    for (_, low, line), (k, high, _) in pairwise(tops):
        verdict = Agreement.CONTRADICTION if low.value > high.value else Agreement.AGREES
        yield Checked(verdict, KIND, line + 1, f"{low.text}%", f"not above Top{k} {high.text}%")
    for number in range(grid.rows[-1][0].line + 1, grid.rows[-1][0].line + 4):
        line_text = facts.document.lines[number] if number < len(facts.document.lines) else ""
        if (samples := _SAMPLES.search(line_text)) and int(samples[1]):
            for _, top, line in tops:
                yield _share(top, int(samples[1]), line, number)
            if tops and tops[0][0] == 1 and pairs and pairs.samples == int(samples[1]):
                yield from _of_label(facts, tops[0][1], tops[0][2], pairs)
            if (interval := _INTERVAL.search(line_text)) and tops and tops[0][0] == 1:
                yield from _wilson(tops[0][1], int(samples[1]), interval, number, tops[0][2])
            return


def _of_label(facts: DocumentFacts, top: Printed, line: int, pairs: _Pairs) -> Iterator[Answer]:
    """Top-1 below a title that names one of two compared models, against their counts."""
    title = next((h.text for h in facts.document.headings_above(line)), "")
    rights = {
        pairs.row: pairs.both + pairs.only_row,
        pairs.column: pairs.both + pairs.only_column,
    }
    named = [label for label in rights if label and re.search(rf"\b{re.escape(label)}\b", title)]
    if len(named) == 1:
        yield _count(top.text, rights[named[0]], pairs, line)


def _share(stated: Printed, samples: int, line: int, source: int) -> Checked:
    """Whether a percentage is a whole number of the samples, as printed."""
    right = round(stated.value * samples / 100)
    off = abs(stated.value - 100 * right / samples)
    verdict = graded(off <= stated.ulp * 0.5001 or stated.value > 100, off <= stated.ulp)
    if stated.value > 100:
        verdict = Agreement.CONTRADICTION
    derived = f"{shown(100 * right / samples)}% = {right} of {samples} samples, the nearest share"
    return Checked(verdict, KIND, line + 1, f"{stated.text}%", derived, source + 1)


def _wilson(
    top: Printed, samples: int, interval: re.Match[str], number: int, line: int
) -> Iterator[Answer]:
    """Wilson's interval of 95 % (Wilson 1927, equation of the score test's bounds)."""
    share = round(top.value * samples / 100) / samples
    centre = (share + _Z**2 / (2 * samples)) / (1 + _Z**2 / samples)
    spread = (
        _Z
        * math.sqrt(max(share * (1 - share), 0) / samples + _Z**2 / (4 * samples**2))
        / (1 + _Z**2 / samples)
    )
    for text, bound in ((interval[1], centre - spread), (interval[2], centre + spread)):
        stated = as_printed(text)
        off = abs(stated.value - 100 * bound)
        verdict = graded(off <= stated.ulp, off <= 3 * stated.ulp)
        derived = f"{shown(100 * bound)}% = Wilson's bound of {top.text}% of {samples} samples"
        yield Checked(verdict, KIND, number + 1, f"{text}%", derived, line + 1)


def _paired(grid: Grid) -> _Pairs | None:
    """The counts of a two-by-two table: right and wrong across, and down."""
    if len(grid.rows) != 3 or len(grid.rows[0]) != 3:
        return None
    titles = [cell.text for cell in (*grid.rows[0][1:], grid.rows[1][0], grid.rows[2][0])]
    right, wrong = titles[0::2], titles[1::2]
    if not (all(map(_RIGHT.search, right)) and all(map(_WRONG.search, wrong))):
        return None
    counts = [cell.text for row in grid.rows[1:] for cell in row[1:]]
    if not all(text.isascii() and text.isdigit() and len(text) < 9 for text in counts):
        return None
    row, column = (_RIGHT.sub("", title).strip(" *") for title in (titles[2], titles[0]))
    both, only_row, only_column, neither = map(int, counts)
    return _Pairs(both, only_row, only_column, neither, grid.line, row, column)


def _pairs_in_text(facts: DocumentFacts) -> _Pairs | None:
    """The same as the console prints it: ``reference right  685  0``."""
    rows = [(n, m) for n, line in enumerate(facts.document.lines) if (m := _ROW.match(line))]
    if len(rows) != 2 or [m[1] for _, m in rows] != ["right", "wrong"]:
        return None
    # Here the rows are the reference's, and the columns the port's.
    (line, above), (_, below) = rows
    return _Pairs(int(above[2]), int(below[2]), int(above[3]), int(below[3]), line)


def _samples_above(facts: DocumentFacts, grid: Grid) -> int | None:
    """The number of samples named right above a two-by-two table."""
    for number in range(grid.line - 1, max(-1, grid.line - 4), -1):
        if samples := _SAMPLES.search(facts.document.lines[number]):
            return int(samples[1])
    return None


def _compared(
    facts: DocumentFacts, pairs: _Pairs, samples: int | None, tables: Sequence[int]
) -> Iterator[Answer]:
    """The number of samples, both accuracies and their difference, against the counts. A sentence
    between two comparisons is about the table that is nearer: ``tables`` has the lines of all.
    """
    if samples is not None:
        yield _samples(samples, pairs, pairs.line)
    if not pairs.samples:
        return
    first = max(0, pairs.line - _NEAR)
    for number, line in enumerate(facts.document.lines[first : pairs.line + _NEAR], start=first):
        if min(tables, key=lambda other: abs(other - number)) != pairs.line:
            continue
        if both := _BOTH.search(line):
            yield _samples(int(both[3]), pairs, number)
            reference, port = pairs.both + pairs.only_column, pairs.both + pairs.only_row
            for text, right in ((both[1], reference), (both[2], port)):
                yield _count(text, right, pairs, number)
        if difference := _DIFFERENCE.search(line):
            yield _points(difference, pairs, number)
        if agreement := _AGREEMENT.search(line):
            yield _agreement(
                as_printed(agreement[1] or agreement[2] or agreement[3]), pairs, number
            )
        if (p := _MCNEMAR.search(line)) and pairs.only_row + pairs.only_column <= _MOST_FLIPS:
            yield _mcnemar(as_printed(p[1]), pairs, number)


def _samples(stated: int, pairs: _Pairs, number: int) -> Checked:
    verdict = Agreement.AGREES if stated == pairs.samples else Agreement.CONTRADICTION
    derived = f"{pairs.samples} samples in the table"
    return Checked(verdict, KIND, number + 1, f"{stated} samples", derived, pairs.line + 1)


def _count(text: str, right: int, pairs: _Pairs, number: int) -> Checked:
    stated, follows = as_printed(text), 100 * right / pairs.samples
    off = abs(stated.value - follows)
    verdict = graded(off <= 0.501 * stated.ulp, off <= stated.ulp)
    derived = f"{shown(follows)}% = {right} of {pairs.samples} samples"
    return Checked(verdict, KIND, number + 1, f"{text}%", derived, pairs.line + 1)


def _agreement(stated: Printed, pairs: _Pairs, number: int) -> Checked:
    """Where both are right they agree, and where one is right they do not."""
    least = 100 * pairs.both / pairs.samples
    most = 100 * (pairs.both + pairs.neither) / pairs.samples
    inside = least - stated.ulp <= stated.value <= most + stated.ulp
    verdict = Agreement.AGREES if inside else Agreement.CONTRADICTION
    derived = f"from {shown(least)}% to {shown(most)}%, by the table"
    return Checked(verdict, KIND, number + 1, f"{stated.text}%", derived, pairs.line + 1)


def _mcnemar(stated: Printed, pairs: _Pairs, number: int) -> Checked:
    """The exact test of McNemar (1947): two-sided binomial, one half, of the samples where only one
    is right.
    """
    flips, fewer = pairs.only_row + pairs.only_column, min(pairs.only_row, pairs.only_column)
    tail = sum(math.comb(flips, k) for k in range(fewer + 1)) / 2**flips
    follows = min(1.0, 2 * tail)
    off = abs(stated.value - follows)
    verdict = graded(off <= stated.ulp, off <= 2 * stated.ulp)
    derived = f"{shown(follows)}, of {pairs.only_row} and {pairs.only_column}"
    return Checked(verdict, KIND, number + 1, f"p = {stated.text}", derived, pairs.line + 1)


def _points(difference: re.Match[str], pairs: _Pairs, number: int) -> Checked:
    stated = as_printed(difference[2])
    value = stated.value if difference[1] == "+" else -stated.value
    follows = 100 * (pairs.only_row - pairs.only_column) / pairs.samples
    off = abs(value - follows)
    verdict = graded(off <= 0.501 * stated.ulp, off <= stated.ulp)
    derived = f"{follows:+.4g} points = ({pairs.only_row} - {pairs.only_column}) of {pairs.samples}"
    text = f"{difference[1]}{stated.text} points"
    return Checked(verdict, KIND, number + 1, text, derived, pairs.line + 1)
