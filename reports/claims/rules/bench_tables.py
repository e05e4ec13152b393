"""The tables of a bench: the same rate in two of them, ratios beside their interval, percentiles in
order, the best of a column, and the sentence that sums them up.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.figure_columns import figure
from portproof.reports.claims.read.grids import Grid, GridCell
from portproof.reports.claims.read.printed import NUMBER, RESTATED, Printed, as_printed, deviation
from portproof.reports.claims.read.printed import shown as as_text

_RATE = re.compile(r"images/s", re.IGNORECASE)
_BATCH = re.compile(r"batch(?: size)?", re.IGNORECASE)
_BATCH_ROW = re.compile(r"(?:bs|batch) ?(\d{1,4})(?: \S{1,20})?", re.IGNORECASE)
_BEST_ROW = re.compile(r"best|最优|最佳", re.IGNORECASE)
_BEST_CELL = re.compile(rf"({NUMBER}) ?\(bs ?(\d{{1,4}})\)")
_RATIO_OF = re.compile(r"(\S{1,40}) ?[:/] ?(\S{1,40})")
_OF_MEDIANS = re.compile(r"medians?|中位数", re.IGNORECASE)
_INTERVAL = re.compile(rf"({NUMBER}) (?:to|至|-) ({NUMBER})")
_ORDER = re.compile(r"(median|中位数|p\d\d(?:\.\d)?) ?ms", re.IGNORECASE)
_SENTENCES = (
    re.compile(
        rf"[Tt]he best of (\S{{1,40}}), ({NUMBER}) images/s at batch (\d{{1,4}}), is ({NUMBER})"
        r" times the best of (\S{1,40}?)[.,]?$"
    ),
    re.compile(
        r"(\S{1,40}) ?的最优吞吐率为 ?batch ?(?P<batch>\d{1,4}) ?时的"
        rf" ?(?P<rate>{NUMBER}) ?images/s,是 ?(\S{{1,40}}) ?最优吞吐率的 ?(?P<ratio>{NUMBER}) ?倍"
    ),
)
_TIMES_CHIPS = re.compile(r"\d ?[x×*] ?(\d{1,2}) ?=")
#: Reports round to four digits; a ratio is worked from the calls and not from what is printed.
_FOUR_DIGITS, _PAIRED = 6e-4, 0.01


@dataclass
class _Bench:
    """The rates of a document, and the median calls in milliseconds, by label and batch."""

    medians: dict[tuple[str, int], list[tuple[Printed, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    rates: dict[tuple[str, int], list[tuple[Printed, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    #: By how many chips the document multiplies a rate: a table may be per chip or per card.
    chips: frozenset[int] = frozenset({1})
    #: A label's rates by batch, for the best of them.
    batches: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every table with a column of images a second by label and batch, and those beside it."""
    products = _TIMES_CHIPS.findall("\n".join(facts.document.lines))
    bench = _Bench(chips=frozenset({1, *map(int, products)}))
    timed = [grid for grid in facts.grids if _is_timed(grid)]
    for grid in timed:
        yield from _timed(grid, bench)
    for grid in facts.grids:
        if grid not in timed and _batches_down(grid):
            yield from _compared(grid, bench)
    for number, line in enumerate(facts.document.lines):
        if "images/s" in line and bench.batches:
            yield from _sentence(number, line, bench)


def _is_timed(grid: Grid) -> bool:
    titles = [cell.text for cell in grid.rows[0]]
    return any(map(_BATCH.fullmatch, titles)) and any(map(_RATE.fullmatch, titles))


def _timed(grid: Grid, bench: _Bench) -> Iterator[Answer]:
    """A row a subject and batch: its rate is kept; its median and percentiles are in order."""
    titles = [cell.text for cell in grid.rows[0]]
    batch_at = next(i for i, text in enumerate(titles) if _BATCH.fullmatch(text))
    rate_at = next(i for i, text in enumerate(titles) if _RATE.fullmatch(text))
    times = [i for i, text in enumerate(titles) if _ORDER.fullmatch(text)]
    for row in grid.rows[1:]:
        rate, batch = figure(row[rate_at].text, row[rate_at].line), row[batch_at].text
        if rate is None or not (batch.isascii() and batch.isdigit() and int(batch[:6])):
            continue
        key = (row[0].text, int(batch[:6]))
        bench.rates[key].append((rate.figure, rate.line))
        bench.batches[key[0]].setdefault(key[1], rate.figure.value)
        cells = [c for i in times if (c := figure(row[i].text, row[i].line))]
        for low, high in pairwise(cells):
            above = low.value > high.value
            verdict = Agreement.CONTRADICTION if above else Agreement.AGREES
            derived = f"not above the next percentile, {high.shown}"
            yield Checked(verdict, "unit", low.line + 1, low.shown, derived, high.line + 1)
        if cells and cells[0].value and _ORDER.fullmatch(titles[times[0]]):
            bench.medians[key].append((cells[0].figure, cells[0].line))
            yield _of_median(key[1], rate.figure, cells[0].figure, rate.line)


def _of_median(batch: int, rate: Printed, median: Printed, line: int) -> Checked:
    """Half of the calls take the median or longer, so their mean is no less than half of it."""
    most = 2000 * batch / median.value
    over = rate.value > most * (1 + rate.slack + median.slack + RESTATED)
    verdict = Agreement.CONTRADICTION if over else Agreement.AGREES
    derived = f"not above {as_text(most)} = 2*1000*{batch}/{median.text}, by the median"
    return Checked(verdict, "unit", line + 1, rate.text, derived, line + 1)


def _batches_down(grid: Grid) -> bool:
    return sum(_BATCH_ROW.fullmatch(row[0].text) is not None for row in grid.rows[1:]) >= 1


def _compared(grid: Grid, bench: _Bench) -> Iterator[Answer]:
    """A table with a row a batch: rates by label, or ratios beside their intervals."""
    labels = {label for label, _ in bench.rates}
    for index, title in enumerate(grid.rows[0]):
        pair = _RATIO_OF.fullmatch(title.text)
        if index and title.text in labels:
            yield from _column(grid, index, bench)
        elif index == 0 and pair and {pair[1], pair[2]} <= labels:
            yield from _ratios(grid, pair[1], pair[2], bench)


def _column(grid: Grid, index: int, bench: _Bench) -> Iterator[Answer]:
    """Rates of one label: those of the bench, digit by digit, and the largest in the best row."""
    label, best = grid.rows[0][index].text, None
    rows: list[tuple[int, Printed, int]] = []
    for row in grid.rows[1:]:
        batch, cell = _BATCH_ROW.fullmatch(row[0].text), figure(row[index].text, row[index].line)
        if batch and cell:
            rows.append((int(batch[1]), cell.figure, cell.line))
            known = bench.rates.get((label, int(batch[1])), [])
            yield from _same(known, bench.chips, cell.figure, cell.line)
        elif _BEST_ROW.fullmatch(row[0].text):
            best = row[index]
    if best and rows:
        yield from _best(best, rows)


def _same(
    known: list[tuple[Printed, int]], chips: frozenset[int], stated: Printed, line: int
) -> Iterator[Checked]:
    """The rate of a bench as another table shows it, to four digits, of a chip or of a card."""
    if known:
        off, text, source = min(
            (deviation(stated.value, count * rate.value), _times(rate.text, count), at)
            for rate, at in known
            for count in chips
        )
        verdict = graded(off <= _FOUR_DIGITS, off <= RESTATED)
        derived = f"{text} in the table of the bench"
        yield Checked(verdict, "table-vs-log", line + 1, stated.text, derived, source + 1)


def _times(rate: str, chips: int) -> str:
    return rate if chips == 1 else f"{rate} x {chips}"


def _best(cell: GridCell, rows: list[tuple[int, Printed, int]]) -> Iterator[Checked]:
    stated = _BEST_CELL.fullmatch(cell.text)
    if stated is None:
        return
    batch, top, line = max(rows, key=lambda row: row[1].value)
    value, named = as_printed(stated[1]), int(stated[2])
    own = next((figure for b, figure, _ in rows if b == named), None)
    right = value.value == top.value and named == batch
    # A best above all rows, at a batch that is not among them, is of a row that is not shown.
    other = own is None and value.value >= top.value
    verdict = graded(right, other)
    derived = f"{top.text} (bs{batch}, the column's largest)"
    yield Checked(verdict, "best-row", cell.line + 1, cell.text, derived, line + 1)


def _ratios(grid: Grid, top: str, bottom: str, bench: _Bench) -> Iterator[Answer]:
    """Ratios by batch: of the medians or of the rates, and inside their own interval."""
    # The longer the call, the slower: of medians the quotient is the other way round.
    sides, known = (
        ((bottom, top), bench.medians) if _is_of_medians(grid) else ((top, bottom), bench.rates)
    )
    for row in grid.rows[1:]:
        batch, stated = _BATCH_ROW.fullmatch(row[0].text), figure(row[1].text, row[1].line)
        if batch is None or stated is None:
            continue
        interval = _INTERVAL.search(row[2].text) if len(row) > 2 else None
        if interval:
            low, high = as_printed(interval[1]), as_printed(interval[2])
            inside = low.value <= stated.value <= high.value
            verdict = Agreement.AGREES if inside else Agreement.CONTRADICTION
            derived = f"inside its interval, {low.text} to {high.text}"
            yield Checked(verdict, "ratio", stated.line + 1, stated.shown, derived, row[2].line + 1)
        found = [known.get((label, int(batch[1])), []) for label in sides]
        if len(found[0]) == len(found[1]) == 1:
            (above, line), (below, _) = found[0][0], found[1][0]
            held = (low.value, high.value) if interval and _is_of_medians(grid) else None
            yield _quotient(
                stated.figure, stated.line, above.value, below.value, line, interval=held
            )


def _is_of_medians(grid: Grid) -> bool:
    return any(_OF_MEDIANS.search(cell.text) for cell in grid.rows[0][1:])


def _quotient(
    stated: Printed,
    at: int,
    above: float,
    below: float,
    source: int,
    *,
    interval: tuple[float, float] | None = None,
) -> Checked:
    """A ratio beside the quotient of what is printed. One that is formed otherwise, from pairs of
    blocks, may be further from it, but its interval holds both.
    """
    follows = above / below if below else 0.0
    off = deviation(stated.value, follows) - 0.5 * stated.ulp / (stated.value or 1)
    held = interval and interval[0] * (1 - _PAIRED) <= follows <= interval[1] * (1 + _PAIRED)
    verdict = graded(off <= _PAIRED, off <= 2 * _PAIRED or bool(held))
    derived = f"{as_text(follows)} = {as_text(above)}/{as_text(below)}"
    return Checked(verdict, "ratio", at + 1, stated.text, derived, source + 1)


def _sentence(number: int, line: str, bench: _Bench) -> Iterator[Answer]:
    """The best of one label, its batch, and how many times the best of the other it is."""
    for english, pattern in zip((True, False), _SENTENCES, strict=True):
        match = pattern.search(line)
        if match is None:
            continue
        if english:
            label, rate, batch, ratio, other = match.groups()
        else:
            label, other = match[1], match[4]
            rate, batch, ratio = match["rate"], match["batch"], match["ratio"]
        best, against = bench.batches.get(label), bench.batches.get(other)
        if not best or not against:
            continue
        top = max(best, key=lambda b: best[b])
        where = bench.rates[label, top][0][1]
        stated = as_printed(rate)
        off = deviation(stated.value, best[top])
        verdict = graded(off <= _FOUR_DIGITS and int(batch) == top, off <= RESTATED)
        if int(batch) in best and int(batch) != top:
            verdict = Agreement.CONTRADICTION
        derived = f"{as_text(best[top])} at batch {top}"
        yield Checked(
            verdict, "best-row", number + 1, f"{rate} at batch {batch}", derived, where + 1
        )
        yield _quotient(as_printed(ratio), number, best[top], max(against.values()), where)
