"""Throughputs stated in prose: worked from a log's figure (``263.872x4=1055.488``) or plainly
(``batch4 310P吞吐率:2228.9fps``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from portproof.reports.claims.read.chips import device_of
from portproof.reports.claims.read.context import (
    CHIP_NUMBERS,
    batches_in,
    device_in,
    device_spans,
    states,
)
from portproof.reports.claims.read.expressions import Term, Worked
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed

_KEYWORD = (
    r"吞吐[率量]|throughput\s?Rate|throughput|单卡性能"
    r"|(?:上|卡|gpu|npu|310P?|710|T4)(?:的)?性能|FPS"
)
_UNIT = r"fps|samples?/s|qps|im(?:a)?ge?s?/s|张/秒|张/s|帧/s"
_PLAIN = re.compile(
    rf"(?:{_KEYWORD})\s{{0,2}}(?:[:=>-]|大约|约|达到|达|为|是|即){{0,3}}\s{{0,2}}"
    rf"(?<![\d.])({NUMBER})(?!\d|\.\d|\s?(?:ms|%|倍|[*/(]|x\s?\d|[PB]|单卡|npu))"
    rf"|(?<![A-Za-z0-9_./-])({NUMBER})\s?(?:{_UNIT})(?![A-Za-z])"
    rf"|(?<![A-Za-z0-9_./-])({NUMBER})\s?,?\s?"
    r"(?:既是|即是|即为|就是|是)\s?(?:优化后)?的?\s?(?:batch|bs|310|710|T4)",
    re.IGNORECASE,
)
_TALKS_OF_RATE = re.compile(r"吞吐|throughput|fps|性能|qps|s/s\b", re.IGNORECASE)
#: Inside a code block only what is printed as a rate is one: the rest may be code.
_PRINTED_RATE = re.compile(r"\bfps\s?[:=]\s?\d", re.IGNORECASE)
_TOOL_LINE = re.compile(
    r"\[(?:INFO|I|DEBUG|WARN(?:ING)?)\]|device_\d+ throughput|(?:summary |avg_)throughput"
)
_MOST_IN_A_LINE = 12
#: Chips, batches and thresholds multiply to less.
_MOST_FACTOR = 1e9
_FIGURE = re.compile(r"\d\.\d|\d{3}")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_BEST = re.compile(r"最优|最佳|best", re.IGNORECASE)
_ITEM = re.compile(r"([ \t]*)[-*+] ")
_LONGEST_LIST = 20
_CLAUSE = re.compile(r"[,;。]|\s{3,}")


@dataclass(frozen=True)
class Claim:
    """A stated throughput.

    ``operand`` is the log's figure that it was worked from: a rate (``form`` "rate": one chip's, or
    queries a second) or a time in ms ("latency"); "plain" claims have none. ``factor`` is what the
    operand was multiplied by (for a time: 1000 not counted), so the value is ``operand * factor``
    or ``1000 * factor / operand``. ``batches`` and ``device`` are what the line names.
    """

    line: int
    text: str
    form: str
    value: float
    figure: Printed | None
    operand: Printed | None
    factor: float
    whole_factors: tuple[int, ...]
    batches: tuple[int, ...]
    device: str | None

    @property
    def batch(self) -> int | None:
        """The batch, when the line names exactly one."""
        return self.batches[0] if len(self.batches) == 1 else None

    @property
    def shown(self) -> str:
        """The figure as printed, or the worked term where no result is printed."""
        return self.figure.text if self.figure else self.text


def claims_in(
    document: Document, logs: list[Log], worked_on: dict[int, list[Worked]]
) -> Iterator[Claim]:
    """All stated throughputs, in order; ``worked_on`` is each line's arithmetic. Lines that belong
    to a log or a table state none.
    """
    taken = {reading.line for log in logs for reading in log.readings.values()}
    for number, line in enumerate(document.lines):
        if number in taken or "|" in document.raw[number]:
            continue
        worked = worked_on.get(number, [])
        on_gpu = bool(worked) and _is_on_gpu(document, number)
        claims = [claim for w in worked for claim in _worked_claims(w, line, number, on_gpu)]
        if not claims and (states(document, number) or _PRINTED_RATE.search(line)):
            item = _device_of_item(document, number)
            claims = [
                replace(claim, device=claim.device or item)
                for claim in islice(_plain_claims(line, number), _MOST_IN_A_LINE)
            ]
        yield from claims


def _device_of_item(document: Document, number: int) -> str | None:
    """The device that the item of a list names, for the items below and within it."""
    match = _ITEM.match(document.raw[number])
    if match is None or document.fenced[number]:
        return None
    for above in range(number - 1, max(-1, number - _LONGEST_LIST), -1):
        outer = _ITEM.match(document.raw[above])
        if outer is None:
            return None
        if len(outer[1]) < len(match[1]):
            return device_in(document.lines[above])
    return None


def _is_on_gpu(document: Document, number: int) -> bool:
    """Whether the nearest heading that names devices names a GPU only."""
    named = next(
        (
            device
            for heading in document.headings_above(number)
            if (device := device_in(heading.text))
        ),
        None,
    )
    return named in ("GPU", "other GPU")


def _worked_claims(worked: Worked, line: str, number: int, on_gpu: bool) -> Iterator[Claim]:
    batches = tuple(batches_in(line))
    if len(batches) > 1:
        # "x4=3239.252即是batch1单卡吞吐率,batch16同理": the words after the result in its clause
        # name its batch, else those before it.
        around = (
            _CLAUSE.split(line[worked.end :].lstrip("fpsFPS ,。"), maxsplit=1)[0],
            _clause_before(line, worked.start),
        )
        batches = next(
            (own for part in around if len(own := tuple(batches_in(part))) == 1), batches
        )
    for index, side in enumerate(worked.sides):
        if not side.is_worked or not side.factors:
            continue
        follows = index < len(worked.relations) and worked.relations[index] == "="
        result = worked.sides[index + 1].figure if follows else None
        read = _operand(side)
        if read is None:
            continue
        form, operand, factor, whole = read
        device = _device_at(line, worked.start, worked.end)
        if device is None and form == "rate" and batches != (factor,) and not on_gpu:
            device = device_of(factor)
        elif device is None and form == "latency" and (on_gpu or _is_against_card(worked, index)):
            device = "GPU"
        yield Claim(
            number,
            side.text,
            form,
            result.value if result else side.value,
            result,
            operand,
            factor,
            whole,
            batches,
            device,
        )


def _is_against_card(worked: Worked, index: int) -> bool:
    """Whether a side is compared with a chip's rate times the chips of a card: it is a GPU's."""
    others = [
        side
        for at, side in enumerate(worked.sides)
        if at != index and side.is_worked and side.factors
    ]
    reads = [read for side in others if (read := _operand(side))]
    return any(r in "<>" for r in worked.relations) and any(
        form == "rate" and device_of(factor) for form, _, factor, _ in reads
    )


def _operand(side: Term) -> tuple[str, Printed, float, tuple[int, ...]] | None:
    """Which factor of a product is the measured figure, and what it is multiplied by."""
    if any(f.text in CHIP_NUMBERS for f, _ in side.factors):
        return None
    thousands = [f for f, power in side.factors if f.text == "1000" and power == 1]
    rest = [(f, power) for f, power in side.factors if f.text != "1000"]
    measured = [(f, power) for f, power in rest if "." in f.text] or [
        (f, power) for f, power in rest if f.value >= 100
    ]
    if len(measured) != 1:
        return None
    operand, power = measured[0]
    factor, whole = 1.0, []
    for f, sign in rest:
        if f is not operand:
            if not f.value or "." in f.text:
                return None
            factor *= f.value**sign
            whole.append(int(f.value))
            if not 1 / _MOST_FACTOR < factor < _MOST_FACTOR:
                return None
    if thousands and power == -1:
        return "latency", operand, factor, tuple(whole)
    if (
        not thousands
        and power == 1
        and len(rest) == 2
        and rest[0][1] == rest[1][1] == 1
        and whole[0] >= 1
    ):
        return "rate", operand, factor, tuple(whole)
    return None


def _device_at(line: str, start: int, end: int) -> str | None:
    """The device of a figure: the only one of the line, else the last one named before it in its
    clause, else the first one after it.
    """
    only = device_in(line)
    if only:
        return only
    spans = device_spans(line)
    before = [(at, name) for at, name in spans if at < start]
    if before and not _CLAUSE.search(line, before[-1][0], start):
        # "310P vs 310: 1635.3fps": of two devices with no figure between them, either may be meant.
        pair = (
            len(before) > 1
            and before[-2][1] != before[-1][1]
            and not _FIGURE.search(line[before[-2][0] + 4 : before[-1][0]])
        )
        return None if pair else before[-1][1]
    after = [(at, name) for at, name in spans if at >= end]
    if after and not before and not _CLAUSE.search(line, end, after[0][0]):
        return after[0][1]
    return None


def _clause_before(line: str, end: int) -> str:
    return _CLAUSE.split(line[:end])[-1]


def _plain_claims(line: str, number: int) -> Iterator[Claim]:
    if not _TALKS_OF_RATE.search(line) or _TOOL_LINE.search(line):
        return
    named = tuple(batches_in(line))
    line = _IN_BRACKETS.sub(lambda bracket: bracket[0].replace(",", " "), line)
    for match in _PLAIN.finditer(line):
        group = match.lastindex or 1
        read = as_printed(match[group])
        # "bs1 213.98 fps, bs16 275.32 fps": each clause names its own batch; a best may be of any.
        clause = _clause_before(line, match.start(group))
        own = tuple(batches_in(clause))
        batches = own or (() if _BEST.search(clause) else named)
        if read.digits < 2 or read.text in CHIP_NUMBERS:
            continue
        device = _device_at(line, match.start(group), match.end(group))
        yield Claim(number, read.text, "plain", read.value, read, None, 1.0, (), batches, device)
