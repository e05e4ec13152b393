"""Units: times in seconds under a header that says ms, and times listed as throughputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.rate_sources import log_times
from portproof.reports.claims.read.context import devices_in
from portproof.reports.claims.read.grids import Grid
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
_NUMBER = re.compile(NUMBER)


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
            (rate, time, row[index].line)
            for row in grid.rows[1:]
            if (rate := _lone(row[partner].text)) and (time := _lone(row[index].text))
        ]
        if pairs:
            finding = _column(grid.rows[0][index].line, header, pairs, units[0])
            yield finding
            if finding.verdict is Agreement.AGREES:
                yield from _strays(grid, pairs)


def _strays(grid: Grid, pairs: list[tuple[Printed, Printed, int]]) -> Iterator[Answer]:
    """The one row whose rate x time is not what it is in all others: one image, or its batch, in
    all of them alike.
    """
    batches = {row[0].line: batch_of(row[0].text, True) for row in grid.rows[1:]}
    for divisors in ([1] * len(pairs), [batches.get(line) for _, _, line in pairs]):
        if len(pairs) < _FEWEST_ROWS or not all(divisors):
            continue
        under_way = [
            rate.value * time.value / (divisor or 1)
            for (rate, time, _), divisor in zip(pairs, divisors, strict=True)
        ]
        usual = sorted(under_way)[len(under_way) // 2]
        strays = [
            i
            for i, value in enumerate(under_way)
            if deviation(value, usual) > OTHER_RUN + pairs[i][0].slack + 2 * pairs[i][1].slack
        ]
        if len(strays) == 1:
            rate, time, line = pairs[strays[0]]
            derived = (
                f"rate x time = {shown(under_way[strays[0]])}, {shown(usual)} in the other rows"
            )
            off = deviation(under_way[strays[0]], usual)
            verdict = Agreement.CONTRADICTION if off > 2 * OTHER_RUN else Agreement.AMBIGUOUS
            yield Checked(verdict, KIND, line + 1, f"{rate.text}, {time.text}", derived, line + 1)


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


def _column(
    header_line: int, header: str, pairs: list[tuple[Printed, Printed, int]], unit: float
) -> Checked:
    """rate x time is the images under way: at least 1, and a batch without overlap."""
    under_way = [rate.value * time.value * unit for rate, time, _ in pairs]
    other = 1e3 if unit < 1 else 1e-3
    fits_other = all(
        round(u * other) >= 1 and deviation(u * other, round(u * other)) <= 0.1 for u in under_way
    )
    impossible = max(under_way) < 0.1 if unit < 1 else min(under_way) > 100
    verdict = Agreement.CONTRADICTION if impossible and fits_other else Agreement.AGREES
    rate, time, line = pairs[0]
    derived = f"{_LARGER[unit]}: {rate.text}/s x {time.text} = {shown(rate.value * time.value)}"
    return Checked(verdict, KIND, header_line + 1, header, derived, line + 1)


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
