"""Units: times in seconds under a header that says ms, and times listed as throughputs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.audits.facts import Facts
from portproof.reports.audits.figures import NUMBER, Figure, deviation, figure, shown
from portproof.reports.audits.findings import Finding, Outcome, Verdict
from portproof.reports.audits.grids import Grid, grids

KIND = "unit"
_RATE = re.compile(r"fps|qps|samples/s|im(?:a)?ge?s?/s|吞吐", re.IGNORECASE)
_TIME = re.compile(r"latency|时延|延迟|耗时|\btime\b", re.IGNORECASE)
_MILLISECONDS = re.compile(r"[(\[/ ](?:ms|毫秒)\b", re.IGNORECASE)
_SECONDS = re.compile(r"[(\[/ ](?:s|sec|秒)[)\]]|[(\[/ ](?:s|sec|秒)$", re.IGNORECASE)
_NUMBER = re.compile(NUMBER)


def check(facts: Facts) -> Iterator[Outcome]:
    """Tables with rates and times side by side; then throughputs that are a log's latency."""
    for grid in grids(facts.document):
        yield from _columns(grid)
    yield from _latency_as_rate(facts)


def _columns(grid: Grid) -> Iterator[Outcome]:
    headers = [cell.text for cell in grid.rows[0]]
    rates = [i for i, text in enumerate(headers) if _RATE.search(text) and not _TIME.search(text)]
    for index, header in enumerate(headers):
        milli, seconds = bool(_MILLISECONDS.search(header)), bool(_SECONDS.search(header))
        if not rates or not _TIME.search(header) or milli == seconds:
            continue
        partner = min(rates, key=lambda i: _unlike(headers[i], header))
        pairs = [
            (rate, time, row[index].line)
            for row in grid.rows[1:]
            if (rate := _lone(row[partner].text)) and (time := _lone(row[index].text))
        ]
        if pairs:
            yield _column(grid.rows[0][index].line, header, pairs, 1e-3 if milli else 1.0)


def _unlike(rate_header: str, time_header: str) -> int:
    """0 when both are means or both are medians: figures of one statistic belong together."""
    statistic = re.split(r"[(-]", rate_header, maxsplit=1)[0].strip().lower()
    return 0 if statistic and time_header.lower().startswith(statistic) else 1


def _lone(text: str) -> Figure | None:
    match = _NUMBER.fullmatch(text.strip())
    read = figure(match[0]) if match else None
    return read if read and read.value else None


def _column(header_line: int, header: str, pairs: list[tuple[Figure, Figure, int]], unit: float) -> Finding:
    """rate x time is the number of images under way: at least 1, and a whole batch where nothing overlaps."""
    under_way = [rate.value * time.value * unit for rate, time, _ in pairs]
    other = 1.0 / unit if unit < 1 else 1e-3
    fits_other = all(round(u * other) >= 1 and deviation(u * other, round(u * other)) <= 0.1 for u in under_way)
    impossible = max(under_way) < 0.1 if unit < 1 else min(under_way) > 100
    verdict = Verdict.CONTRADICTION if impossible and fits_other else Verdict.AGREES
    rate, time, line = pairs[0]
    derived = f"{'seconds' if unit < 1 else 'milliseconds'}: {rate.text}/s x {time.text} = {shown(rate.value * time.value)}"
    return Finding(verdict, KIND, header_line + 1, header, derived, line + 1)


def _latency_as_rate(facts: Facts) -> Iterator[Outcome]:
    """A stated throughput that is, digit by digit, the mean time of a log and not its rate."""
    cells = [
        (value.figure, value.line) for table in facts.tables for column in table.rates if not column.latency for value in column.values
    ]
    claims = [(claim.figure, claim.line) for claim in facts.claims if claim.form == "plain" and claim.figure]
    for stated, line in cells + claims:
        time = facts.times.get(stated.text)
        if time and time.value and deviation(1000 / time.value, time.value) > 0.05:
            derived = f"{stated.text} ms is a log's time; the rate is {shown(1000 / time.value)} batches/s"
            yield Finding(Verdict.CONTRADICTION, KIND, line + 1, stated.text, derived, time.line + 1)
