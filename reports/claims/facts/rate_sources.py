"""The throughputs that the logs and worked figures of a document give for a device and batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from portproof.reports.claims.facts.assigned import AssignedLog
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.misquotes import misquotes
from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import NPUS, OTHER_CONDITION
from portproof.reports.claims.read.logs_in_text import PastedFigure
from portproof.reports.claims.read.printed import RESTATED, Printed, deviation, same
from portproof.reports.claims.read.prose import Claim

_MOST_SOURCES = 20


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


def rate_sources(facts: DocumentFacts) -> dict[tuple[str, int | None], list[RateSource]]:
    """For a device and batch, what the document gives; under batch None, what it gives without
    saying a batch.
    """
    by_place: dict[tuple[str, int | None], list[RateSource]] = defaultdict(list)
    for run in facts.runs:
        source = _log_source(run)
        if run.device and source:
            by_place[run.device, run.batch].append(source)
    wrong = {id(misquote.claim) for misquote in facts.once(misquotes)}
    for claim in facts.claims:
        of_run = facts.concluded.get(id(claim))
        device = claim.device or (of_run.device if of_run else None)
        batch = _batch_of(facts, claim)
        labelled = bool(
            claim.batches or (of_run and of_run.labels) or facts.loose_labels.get(id(claim))
        )
        sure = batch is not None or not labelled
        other = bool(OTHER_CONDITION.search(facts.document.lines[claim.line]))
        stated_alone = claim.form == "plain" and of_run is None and (claim.batch is None or other)
        if id(claim) not in wrong and device and sure and not stated_alone:
            by_place[device, batch].append(_claim_source(claim))
    return defaultdict(list, {key: sources[:_MOST_SOURCES] for key, sources in by_place.items()})


def sources_of(facts: DocumentFacts, device: str, batch: int | None) -> list[RateSource]:
    """What the document gives for a device at a batch."""
    return facts.once(rate_sources).get((device, batch), [])


def all_sources(facts: DocumentFacts, device: str) -> Iterator[tuple[int | None, RateSource]]:
    """Every source of a device with its batch."""
    for (name, batch), sources in facts.once(rate_sources).items():
        if name == device:
            yield from ((batch, source) for source in sources)


def only_npu(facts: DocumentFacts) -> str | None:
    """The only NPU of the logs and worked figures, if there is one; "npu" means it."""
    npus = {device for device, _ in facts.once(rate_sources) if device in NPUS}
    return npus.pop() if len(npus) == 1 else None


def npu_meant(facts: DocumentFacts) -> str | None:
    """The meaning of "npu" in prose: the only NPU of the tables, else of the logs."""
    listed = {
        column.device for table in facts.tables for column in table.rates if column.device in NPUS
    }
    return listed.pop() if len(listed) == 1 else None if listed else only_npu(facts)


def log_times(facts: DocumentFacts) -> dict[str, PastedFigure]:
    """The mean times of the logs as printed, of at least four digits against coincidence."""
    readings = (run.log.get(name) for run in facts.runs for name in ("compute.mean", "latency"))
    return {
        reading.figure.text: reading
        for reading in readings
        if reading and reading.figure.digits >= 4
    }


def _batch_of(facts: DocumentFacts, claim: Claim) -> int | None:
    """The batch of a claim, None when the labels around it do not agree."""
    run = facts.concluded.get(id(claim))
    if run:
        return run.batch
    batches = {label.batch for label in facts.loose_labels.get(id(claim), [])}
    if claim.batch:
        batches.add(claim.batch)
    return batches.pop() if len(batches) == 1 else None


def _log_source(run: AssignedLog) -> RateSource | None:
    log, principal = run.log, run.log.principal
    if principal is None or not principal.value:
        return None
    if not log.is_latency:
        chip = principal.value
        text = _times(principal.figure.text, run.chips_on_card)
        return RateSource(chip * run.chips_on_card, (chip,), principal.line, text)
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
    text = _times(f"1000*{run.batch}/{principal.figure.text}", run.chips_on_card)
    return RateSource(rate * run.chips_on_card, tuple(others), principal.line, text)


def _times(text: str, chips: int) -> str:
    return f"{text}*{chips}" if chips > 1 else text


def _follows(claim: Claim) -> float | None:
    """What the operands of a worked figure give; None for a figure that is only stated."""
    if claim.operand is None or claim.form == "plain":
        return None
    if claim.form == "rate":
        return claim.operand.value * claim.factor
    return 1000 * claim.factor / claim.operand.value if claim.operand.value else None


def _claim_source(claim: Claim) -> RateSource:
    others: list[float] = []
    follows = _follows(claim)
    if follows is not None and deviation(claim.value, follows) > RESTATED:
        # A result that does not follow is no source: what its operands give is one.
        return RateSource(follows, tuple(others), claim.line, claim.text)
    if claim.operand and claim.form == "rate":
        others = [claim.operand.value, claim.operand.value * claim.factor]
    elif claim.operand and claim.operand.value:
        others = [1000 * claim.factor / claim.operand.value]
    elif (chips := chips_of(claim.device)) > 1:
        # The number alone does not say whether it is one chip's or the card's.
        others = [claim.value * chips, claim.value / chips]
    return RateSource(claim.value, tuple(others), claim.line, claim.text)
