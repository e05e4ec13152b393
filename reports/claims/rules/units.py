"""Units: times in seconds under a header that says ms, and times listed as throughputs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.batch_sources import USUAL_BATCHES
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.rate_sources import log_times
from portproof.reports.claims.read.context import devices_in
from portproof.reports.claims.read.grids import Grid, GridCell
from portproof.reports.claims.read.printed import (
    NUMBER,
    OTHER_RUN,
    Printed,
    as_printed,
    deviation,
    shown,
)
from portproof.reports.claims.read.rate_cells import batch_of

KIND = "unit"
_RATE = re.compile(r"fps|qps|samples/s|im(?:a)?ge?s?/s|吞吐", re.IGNORECASE)
_TIME = re.compile(r"latency|时延|延迟|耗时|\btime\b", re.IGNORECASE)
_MILLISECONDS = re.compile(r"[(\[/ ](?:ms|毫秒)\b", re.IGNORECASE)
_SECONDS = re.compile(r"[(\[/ ](?:s|sec|秒)[)\]]|[(\[/ ](?:s|sec|秒)$", re.IGNORECASE)
_MICROSECONDS = re.compile(r"[(\[/ ](?:us|μs|µs|微秒)(?![A-Za-z])", re.IGNORECASE)
_UNITS = {1e-3: _MILLISECONDS, 1.0: _SECONDS, 1e-6: _MICROSECONDS}
#: What the figures are in when they do not fit the unit of their header.
_LARGER = {1e-3: "seconds", 1.0: "milliseconds", 1e-6: "milliseconds"}
_FEWEST_ROWS = 3
_BATCH = re.compile(r"b[ae]t?ch|(?<![A-Za-z])bs(?![A-Za-z])", re.IGNORECASE)
#: Figures of a row that are no setting of its run.
_RESULT = re.compile(
    r"ratio|speed|acc|top|map\b|f1|loss|power|util|mem|%|倍|比|精度|性能|加速", re.IGNORECASE
)
_PERCENTILE = re.compile(r"\d\s?%|percentile|(?<![A-Za-z])p\d\d|\d\dth|分位", re.IGNORECASE)
#: How far from the other rows the product of two means cannot be.
_BELOW, _SCATTER = 2 * OTHER_RUN, 0.25
#: How near to a batch the images under way are.
_A_BATCH = 0.1
_NUMBER = re.compile(NUMBER)


@dataclass(frozen=True)
class _Pair:
    """A rate and a time of one row, with the batch that it names."""

    rate: Printed
    time: Printed
    line: int
    batch: int | None


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Tables with rates and times side by side; then throughputs that are a log's latency."""
    for grid in facts.grids:
        yield from _columns(grid)
    yield from _latency_as_rate(facts)


def _columns(grid: Grid) -> Iterator[Answer]:
    headers = [cell.text for cell in grid.rows[0]]
    rates = [i for i, text in enumerate(headers) if _RATE.search(text) and not _TIME.search(text)]
    for index, header in enumerate(headers):
        units = [unit for unit, pattern in _UNITS.items() if pattern.search(header)]
        if not rates or not _TIME.search(header) or len(units) != 1:
            continue
        partner = min(rates, key=lambda i: _unlike(headers[i], header))
        pairs = [
            _Pair(rate, time, row[index].line, _batch(headers, row))
            for row in grid.rows[1:]
            if (rate := _lone(row[partner].text)) and (time := _lone(row[index].text))
        ]
        if pairs:
            finding = _column(grid.rows[0][index].line, header, pairs, units[0])
            yield finding
            # A rate is a mean: a percentile of the times is no partner of it.
            means = not _PERCENTILE.search(header) and _only_batches_differ(grid)
            if finding.verdict is Agreement.AGREES and means:
                yield from _strays(pairs)


def _batch(headers: list[str], row: tuple[GridCell, ...]) -> int | None:
    """The batch of a row: in the column of batches, or in the words of its title."""
    at = next((i for i, text in enumerate(headers) if _BATCH.search(text)), None)
    return batch_of(row[0].text, False) if at is None else batch_of(row[at].text, True)


def _only_batches_differ(grid: Grid) -> bool:
    """Whether the rows are runs of one thing: no column but those of batches and of results shows
    two values (a number of GPUs, a precision, a length).
    """
    for index, cell in enumerate(grid.rows[0]):
        result = _RATE.search(cell.text) or _TIME.search(cell.text) or _RESULT.search(cell.text)
        values = {row[index].text for row in grid.rows[1:]}
        batches = _BATCH.search(cell.text) or all(batch_of(v, False) for v in values)
        if not result and not batches and len(values) > 1:
            return False
    return True


def _strays(pairs: list[_Pair]) -> Iterator[Answer]:
    """The one row whose rate x time is not what it is in all others: one image, or its batch, in
    all of them alike. A mean of rates times a mean of times is never below that, and above it where
    the times scatter.
    """
    for divisors in ([1] * len(pairs), [pair.batch for pair in pairs]):
        if len(pairs) < _FEWEST_ROWS or not all(divisors):
            continue
        under_way = [
            pair.rate.value * pair.time.value / (divisor or 1)
            for pair, divisor in zip(pairs, divisors, strict=True)
        ]
        usual = sorted(under_way)[len(under_way) // 2]
        strays = [
            i
            for i, value in enumerate(under_way)
            if deviation(value, usual) > OTHER_RUN + _slack(pairs[i])
        ]
        if len(strays) == 1:
            pair, value = pairs[strays[0]], under_way[strays[0]]
            derived = f"rate x time = {shown(value)}, {shown(usual)} in the other rows"
            sure = value < (1 - _BELOW) * usual or value > (1 + _SCATTER) * usual
            verdict = Agreement.CONTRADICTION if sure else Agreement.AMBIGUOUS
            stated = f"{pair.rate.text}, {pair.time.text}"
            yield Checked(verdict, KIND, pair.line + 1, stated, derived, pair.line + 1)


def _slack(pair: _Pair) -> float:
    return pair.rate.slack + 2 * pair.time.slack


def _unlike(rate_header: str, time_header: str) -> tuple[bool, int]:
    """Least when both are of one device, and both means or both medians: figures of one statistic
    belong together.
    """
    statistic = re.split(r"[(-]", rate_header, maxsplit=1)[0].strip().lower()
    return devices_in(rate_header) != devices_in(time_header), (
        0 if statistic and time_header.lower().startswith(statistic) else 1
    )


def _lone(text: str) -> Printed | None:
    match = _NUMBER.fullmatch(text.strip())
    read = as_printed(match[0]) if match else None
    return read if read and read.value else None


def _column(header_line: int, header: str, pairs: list[_Pair], unit: float) -> Checked:
    """rate x time is the images under way: at least 1, and a batch without overlap."""
    under_way = [pair.rate.value * pair.time.value * unit for pair in pairs]
    other = 1e3 if unit < 1 else 1e-3
    fits_other = all(
        any(deviation(value * other, batch) <= _A_BATCH for batch in _batches_of(pair))
        for value, pair in zip(under_way, pairs, strict=True)
    )
    impossible = max(under_way) < 0.1 if unit < 1 else min(under_way) > 100
    verdict = Agreement.CONTRADICTION if impossible and fits_other else Agreement.AGREES
    first = pairs[0]
    product = shown(first.rate.value * first.time.value)
    derived = f"{_LARGER[unit]}: {first.rate.text}/s x {first.time.text} = {product}"
    return Checked(verdict, KIND, header_line + 1, header, derived, first.line + 1)


def _batches_of(pair: _Pair) -> tuple[int, ...]:
    """How many images may be under way. Of audio or tokens, which are counted in thousands, no
    batch explains the rate.
    """
    return (1, pair.batch) if pair.batch else USUAL_BATCHES


def _latency_as_rate(facts: DocumentFacts) -> Iterator[Answer]:
    """A stated throughput that is, digit by digit, the mean time of a log and not its rate."""
    cells = [
        (value.figure, value.line)
        for table in facts.tables
        for column in table.rates
        if not column.latency
        for value in column.values
    ]
    claims = [
        (claim.figure, claim.line)
        for claim in facts.claims
        if claim.form == "plain" and claim.figure
    ]
    for stated, line in cells + claims:
        time = facts.once(log_times).get(stated.text)
        if time and time.value and deviation(1000 / time.value, time.value) > 0.05:
            derived = (
                f"{stated.text} ms is a log's time; the rate is {shown(1000 / time.value)}"
                " batches/s"
            )
            yield Checked(
                Agreement.CONTRADICTION, KIND, line + 1, stated.text, derived, time.line + 1
            )
