"""Which batch and device each pasted log belongs to, by all of the document that names them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from portproof.reports.claims.facts.batch_sources import (
    BatchLabel,
    labels_above,
    labels_concluded,
    labels_measured,
)
from portproof.reports.claims.facts.conclusions import conclusions, uses
from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import COMMAND, device_in, devices_in
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.models import Models
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.prose import Claim


@dataclass
class AssignedLog:
    """A log with what the document says about it. ``conclusions`` are the claims drawn from it in
    the lines below.
    """

    log: Log
    labels: list[BatchLabel] = field(default_factory=list)
    conclusions: list[Claim] = field(default_factory=list)
    device: str | None = None

    @cached_property
    def support(self) -> Counter[int]:
        """For each batch, the weight of the labels that name it."""
        support: Counter[int] = Counter()
        for label in self.labels:
            support[label.batch] += label.weight
        return support

    @property
    def batch(self) -> int | None:
        """The batch with most support, None if two have the same."""
        ranked = self.support.most_common(2)
        if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
            return None
        return ranked[0][0]

    @property
    def chips_on_card(self) -> int:
        """How many of the measured chips a card has."""
        return chips_of(self.device)


def assigned_logs(
    document: Document, logs: list[Log], claims: list[Claim], models: Models
) -> list[AssignedLog]:
    """Every log with its labels, conclusions and device."""
    runs = [AssignedLog(log) for log in logs]
    for index, run in enumerate(runs):
        floor = max((other.log.last for other in runs[:index]), default=-1)
        ceiling = min((other.log.first for other in runs[index + 1 :]), default=len(document.lines))
        floor = max([floor, *(claim.line for claim in claims if claim.line < run.log.first)])
        run.labels += labels_above(document, run.log.family, run.log.first, floor)
        run.labels += labels_measured(run.log)
        batches = frozenset(label.batch for label in run.labels)
        same = [claim for claim in claims if not models.part(claim.line, run.log.first)]
        run.conclusions = conclusions(document, run.log, same, ceiling, batches)
        run.labels += labels_concluded(run.log, run.conclusions)
        run.device = _device(document, run, {claim.line for claim in claims})
    return runs


def _device(document: Document, run: AssignedLog, stated: set[int]) -> str | None:
    """The device of a run, when nothing in the document says otherwise."""
    if run.log.family == "trtexec":
        return "GPU"
    concluded = {
        claim.device
        for claim in run.conclusions
        if claim.device and (uses(claim, run.log) or claim is run.conclusions[0])
    }
    concluded -= {"GPU", "other GPU"}
    above = device_in(document.lines[run.log.first]) if run.log.family == "msame" else None
    above = above or _device_above(document, run.log, stated)
    if len(concluded) > 1:
        return None
    if concluded:
        only = concluded.pop()
        return only if above in (None, only) else None
    return above


def _device_above(document: Document, log: Log, stated: set[int]) -> str | None:
    """The device that the nearest enclosing heading, or a short title line below it that states no
    figure, names.
    """
    path = document.headings_above(log.first)
    floor = path[0].line if path else -1
    for number in range(log.first - 1, max(floor, log.first - 80), -1):
        line = document.lines[number].strip()
        named = [name for name in devices_in(line) if "GPU" not in name]
        if named and len(line) < 40 and number not in stated and not COMMAND.search(line):
            return named[0] if len(named) == 1 else None
    for heading in path:
        if devices_in(heading.text):
            return device_in(heading.text)
    return None
