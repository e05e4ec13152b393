"""What a document's tables, logs and worked figures give for a device named in prose."""

from __future__ import annotations

from dataclasses import dataclass

from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.rate_sources import npu_meant, rate_sources, sources_of
from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import NPU_WORD, device_spans

#: Asks for each device's own best batch.
BEST = None


@dataclass(frozen=True)
class Rate:
    """A throughput in images/s with the index of its line.

    ``slack`` is what its rounding leaves open, as a fraction; ``card``: it is surely a whole card's
    and not one chip's.
    """

    value: float
    line: int
    slack: float
    card: bool


def devices_named(facts: DocumentFacts, text: str) -> list[str]:
    """The devices named in a text, in order; "npu" is the only NPU that the document has figures
    of, if it is one.
    """
    spans = device_spans(text)
    if npu := facts.once(npu_meant):
        spans += [(match.start(), npu) for match in NPU_WORD.finditer(text)]
    return list(dict.fromkeys(name for _, name in sorted(spans)))


def rates(facts: DocumentFacts, device: str, batch: int | None, number: int) -> list[Rate]:
    """The throughputs that tables, or else lines above ``number``, give for a device."""
    known: list[Rate] = []
    chips = chips_of(device)
    for table in facts.tables:
        for column in table.of(device):
            if column.latency:
                continue
            rows = [v for v in column.values if (v.best if batch is BEST else v.batch == batch)]
            if batch is BEST and not rows:
                rows = sorted(column.values, key=lambda v: -v.figure.value)[:1]
            known += [Rate(v.figure.value, v.line, v.figure.slack, chips == 1) for v in rows]
    if not known and batch is not BEST:
        known = [
            Rate(s.value, s.line, 0.0, chips == 1 or str(chips) in s.text.split("*"))
            for s in sources_of(facts, device, batch)
            if s.line < number
        ]
    return known


def common_batches(facts: DocumentFacts, devices: list[str]) -> list[int | None]:
    """The batches at which there are figures of every one of the devices."""
    known: list[set[int]] = []
    for device in devices:
        listed = {
            v.batch
            for table in facts.tables
            for column in table.of(device)
            for v in column.values
            if v.batch
        }
        known.append(
            listed
            or {batch for name, batch in facts.once(rate_sources) if name == device and batch}
        )
    return list[int | None](sorted(set.intersection(*known))) if known else []
