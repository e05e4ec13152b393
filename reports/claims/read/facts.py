"""Everything that one document shows, read once and used by all checks."""

from __future__ import annotations

import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from portproof.reports.claims.read.assigned import (
    AssignedLog,
    BatchLabel,
    assigned_logs,
    labels_of_claim,
    uses,
)
from portproof.reports.claims.read.context import NPUS
from portproof.reports.claims.read.expressions import Worked, worked_in
from portproof.reports.claims.read.logs_in_text import Log, PastedFigure, logs_in
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import RESTATED, Printed, deviation, same, shown
from portproof.reports.claims.read.prose import Claim, claims_in
from portproof.reports.claims.read.rate_tables import RateTable, tables_in

#: A README shows at most some dozens of logs; beyond this it is no README, and pairing everything
#: with everything would not end.
_MOST_RUNS = 100
_MOST_CLAIMS = 400
_MOST_WORKED = 1_000
_MOST_SOURCES = 20
_MOST_TABLES = 100
#: A figure so few lines below a log is this log's, tuned or not.
_ADJACENT = 3


_NAMES_THE_RATE = re.compile(r"interface|吞吐|through?put", re.IGNORECASE)
#: A figure from before or after tuning may differ from a log that does not say which of the two it
#: is.
TUNED = re.compile(
    r"优化[前后]|调优|auto[ _]?tun|aoe|使用[^,;。]{1,12}后|纯推理|端到端",
    re.IGNORECASE,
)

#: A plain figure for another input, precision, model or runtime is not the one that the tables
#: show.
OTHER_CONDITION = re.compile(
    r"end[- _]to[- _]end|端到端|分辨率|尺寸|resolution|\d{3,4}\s?[*xX]\s?\d{3,4}"
    r"|int8|fp32|量化|onnx|pytorch|在线|同类|其他模型|TensorRT.{0,200}TensorRT",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RateSource:
    """A throughput that a log or a worked figure of the document gives for a device and batch.

    ``value`` is the card's rate in images/s; ``others`` are readings of the same source that are
    legitimate too (one chip's rate, the rate by another of the log's clocks). ``line`` is an index
    from 0.
    """

    value: float
    others: tuple[float, ...]
    line: int
    text: str
    slack: float = 0.0

    def gives(self, stated: Printed) -> bool:
        """Whether the stated figure is one of the readings, as printed."""
        return any(same(stated, value, self.slack) for value in (self.value, *self.others))

    def distance(self, stated: Printed) -> float:
        """How far the stated figure is from the nearest reading, as a fraction."""
        return self.distance_of(stated.value)

    def distance_of(self, value: float) -> float:
        """How far a value is from the nearest reading, as a fraction."""
        return min(deviation(value, reading) for reading in (self.value, *self.others))


@dataclass(frozen=True)
class Misquote:
    """A conclusion below a log whose operand is not the log's figure."""

    claim: Claim
    run: AssignedLog
    operand: Printed
    correct: Printed
    correct_line: int
    derived: str


class DocumentFacts:
    """What a document shows: its logs with their batch and device, its claims, its tables, and the
    sources for a device and batch.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        logs = logs_in(document)
        self.logs: list[Log] = logs[:_MOST_RUNS]
        self.worked = _worked_by_line(document)
        claims = list(islice(claims_in(document, self.logs, self.worked), _MOST_CLAIMS + 1))
        self.claims: list[Claim] = claims[:_MOST_CLAIMS]
        self.runs: list[AssignedLog] = assigned_logs(document, self.logs, self.claims)
        tables = tables_in(document)
        self.tables: list[RateTable] = tables[:_MOST_TABLES]
        full = {
            "logs": logs[_MOST_RUNS:],
            "stated throughputs": claims[_MOST_CLAIMS:],
            "tables": tables[_MOST_TABLES:],
        }
        #: What was left out because there is more of it than any README has.
        self.left_out = [
            f"there are too many {what}: only the first were read"
            for what, rest in full.items()
            if rest
        ]
        for run in self.runs:
            run.labels += [
                label
                for claim in run.conclusions[:1]
                for label in self._labels_in_tables(claim, run.device)
            ]

    def _labels_in_tables(self, claim: Claim, device: str | None) -> list[BatchLabel]:
        """The batch in whose row, and no other of its column, a worked figure stands in a table."""
        for table in self.tables:
            for column in table.rates:
                rows = [v for v in column.values if not v.best and v.batch]
                holders = [
                    v
                    for v in rows
                    if deviation(v.figure.value, claim.value) <= 1e-5 and v.figure.digits >= 4
                ]
                if len(holders) == 1 and len(rows) > 1 and device in (None, column.device):
                    return [BatchLabel(holders[0].batch or 0, "table", holders[0].line)]
        return []

    @cached_property
    def concluded(self) -> dict[int, AssignedLog]:
        """The run that a claim (by its id) is drawn from."""
        return {id(claim): run for run in self.runs for claim in run.conclusions}

    @cached_property
    def loose_labels(self) -> dict[int, list[BatchLabel]]:
        """What says the batch of each worked time (by the claim's id) whose log is not shown."""
        found: dict[int, list[BatchLabel]] = {}
        floor = -1
        lasts = sorted(log.last for log in self.logs)
        for claim in self.claims:
            if id(claim) not in self.concluded and claim.form == "latency":
                log_above = (
                    lasts[bisect(lasts, claim.line) - 1] if lasts and lasts[0] <= claim.line else -1
                )
                labels = labels_of_claim(self.document, claim, max(floor, log_above))
                found[id(claim)] = (
                    labels
                    + self._labels_in_tables(claim, claim.device)
                    + self._labels_of_uses(claim)
                )
            floor = claim.line
        return found

    def _labels_of_uses(self, claim: Claim) -> list[BatchLabel]:
        """The batches under which the same time, printed digit by digit, is worked with
        elsewhere.
        """
        text = claim.operand.text if claim.operand and claim.operand.digits >= 5 else None
        uses = [
            c
            for c in self.claims
            if text and c.line != claim.line and c.operand and c.operand.text == text and c.batch
        ]
        return [BatchLabel(c.batch or 0, "another use", c.line) for c in uses[:1]]

    def _batch_of(self, claim: Claim) -> int | None:
        """The batch of a claim, None when the labels around it do not agree."""
        run = self.concluded.get(id(claim))
        if run:
            return run.batch
        batches = {label.batch for label in self.loose_labels.get(id(claim), [])}
        if claim.batch:
            batches.add(claim.batch)
        return batches.pop() if len(batches) == 1 else None

    @cached_property
    def misquotes(self) -> list[Misquote]:
        """Conclusions that work from a figure other than the log's, beyond half a percent."""
        return [
            found
            for run in self.runs
            for claim in run.conclusions
            if (found := self._misquote(run, claim))
        ]

    def _misquote(self, run: AssignedLog, claim: Claim) -> Misquote | None:
        principal = run.log.principal
        if (
            principal is None
            or uses(claim, run.log)
            or (claim.batch and run.batch and claim.batch != run.batch)
        ):
            return None
        if claim.device and claim.device != run.device:
            # The text around the log and the conclusion speak of two devices: it may not be drawn
            # from this log.
            return None
        operand = claim.operand
        line, adjacent = self.document.lines[claim.line], claim.line <= run.log.last + _ADJACENT
        if (
            operand is None
            and claim.figure
            and not run.log.is_latency
            and _NAMES_THE_RATE.search(line)
            and (adjacent or not TUNED.search(line))
        ):
            operand = claim.figure
        if (
            operand is None
            or (claim.form == "latency") != run.log.is_latency
            or self._is_other_runs(operand, run)
        ):
            return None
        if self._is_other_reading(operand, run, line):
            return None
        if claim.form == "plain" and deviation(operand.value, 4 * principal.value) <= RESTATED:
            return None
        if claim.form == "latency":
            derived = (
                f"{shown(1000 * claim.factor / principal.value)} ="
                f" 1000*{claim.factor:g}/{principal.figure.text}"
            )
        else:
            derived = (
                f"{shown(claim.factor * principal.value)} ="
                f" {principal.figure.text}*{claim.factor:g}"
            )
        return Misquote(claim, run, operand, principal.figure, principal.line, derived)

    def _is_other_reading(self, operand: Printed, run: AssignedLog, line: str) -> bool:
        """Whether the operand is another clock's figure of the same run, and the text does not call
        it by the wrong name.
        """
        if run.log.is_latency:
            around = self.document.lines[max(0, run.log.first - 15) : run.log.last + 12]
            return operand.digits >= 4 and any(
                operand.text in text
                for text in around
                if "min" in text or "mean" in text or "med" in text
            )
        others = [
            reading.value for name, reading in run.log.readings.items() if name.endswith("rate")
        ]
        return "interface" not in line.lower() and any(
            same(operand, value) or same(operand, 4 * value) for value in others
        )

    def _is_other_runs(self, operand: Printed, run: AssignedLog) -> bool:
        """Whether the operand is the figure of another pasted log."""
        return any(
            other is not run
            and other.log.principal
            and same(operand, other.log.principal.value)
            and operand.digits >= 3
            for other in self.runs
        )

    @cached_property
    def sources(self) -> dict[tuple[str, int | None], list[RateSource]]:
        """For a device and batch, what the document gives; under batch None, what it gives without
        saying a batch.
        """
        found: dict[tuple[str, int | None], list[RateSource]] = defaultdict(list)
        for run in self.runs:
            source = _log_source(run)
            if run.device and source:
                found[run.device, run.batch].append(source)
        wrong = {id(misquote.claim) for misquote in self.misquotes}
        for claim in self.claims:
            of_run = self.concluded.get(id(claim))
            device, batch = (
                claim.device or (of_run.device if of_run else None),
                self._batch_of(claim),
            )
            labelled = bool(
                claim.batches or (of_run and of_run.labels) or self.loose_labels.get(id(claim))
            )
            sure = batch is not None or not labelled
            other = bool(OTHER_CONDITION.search(self.document.lines[claim.line]))
            stated_alone = (
                claim.form == "plain" and of_run is None and (claim.batch is None or other)
            )
            if id(claim) not in wrong and device and sure and not stated_alone:
                found[device, batch].append(_claim_source(claim))
        return defaultdict(list, {key: sources[:_MOST_SOURCES] for key, sources in found.items()})

    @cached_property
    def only_npu(self) -> str | None:
        """The NPU that the logs and worked figures are of, when it is one; "npu" then means this
        one.
        """
        npus = {device for device, _ in self.sources if device in NPUS}
        return npus.pop() if len(npus) == 1 else None

    @cached_property
    def npu_meant(self) -> str | None:
        """What "npu" means in prose: the only NPU of the tables, or else of the logs and worked
        figures.
        """
        listed = {
            column.device
            for table in self.tables
            for column in table.rates
            if column.device in NPUS
        }
        return listed.pop() if len(listed) == 1 else None if listed else self.only_npu

    @cached_property
    def times(self) -> dict[str, PastedFigure]:
        """The mean times of the logs as printed, where at least four digits make a coincidence
        unlikely.
        """
        readings = (run.log.get(name) for run in self.runs for name in ("compute.mean", "latency"))
        return {
            reading.figure.text: reading
            for reading in readings
            if reading and reading.figure.digits >= 4
        }

    def all_sources(self, device: str) -> Iterator[tuple[int | None, RateSource]]:
        """Every source of a device with its batch."""
        for (name, batch), sources in self.sources.items():
            if name == device:
                yield from ((batch, source) for source in sources)


def _worked_by_line(document: Document) -> dict[int, list[Worked]]:
    """The worked arithmetic of each line that has some."""
    pairs = (
        (number, worked)
        for number, line in enumerate(document.lines)
        for worked in islice(worked_in(line), 20)
    )
    found: dict[int, list[Worked]] = {}
    for number, worked in islice(pairs, _MOST_WORKED):
        found.setdefault(number, []).append(worked)
    return found


def _log_source(run: AssignedLog) -> RateSource | None:
    log, principal = run.log, run.log.principal
    if principal is None or not principal.value:
        return None
    if not log.is_latency:
        chip = principal.value
        return RateSource(
            chip * run.chips_on_card,
            (chip,),
            principal.line,
            _term(principal.figure.text, run.chips_on_card),
        )
    if run.batch is None:
        return None
    rate = 1000 * run.batch / principal.value
    others = [rate]
    throughput = log.get("throughput")
    if throughput:
        others += [
            throughput.value,
            throughput.value * run.batch,
            throughput.value * run.chips_on_card,
        ]
    others += [
        1000 * run.batch * run.chips_on_card / r.value
        for name in ("compute.median",)
        if (r := log.get(name)) and r.value
    ]
    text = f"1000*{run.batch}/{principal.figure.text}" + ("*4" if run.chips_on_card == 4 else "")
    return RateSource(rate * run.chips_on_card, tuple(others), principal.line, text)


def _term(text: str, chips: int) -> str:
    return f"{text}*{chips}" if chips > 1 else text


def _claim_source(claim: Claim) -> RateSource:
    others: list[float] = []
    if claim.operand and claim.form == "rate":
        others = [claim.operand.value, claim.operand.value * claim.factor]
    elif claim.operand and claim.operand.value:
        others = [1000 * claim.factor / claim.operand.value]
    elif claim.device == "310":
        # A stated figure of a 310 may be one chip's or the card's; the number alone does not tell.
        others = [claim.value * 4, claim.value / 4]
    return RateSource(claim.value, tuple(others), claim.line, claim.text)
