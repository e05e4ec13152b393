"""What one document shows, each kind read when a rule first asks for it, and then kept."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from typing import Any, TypeVar

from portproof.reports.claims.facts.assigned import AssignedLog, assigned_logs
from portproof.reports.claims.facts.batch_sources import BatchLabel, labels_of_claim
from portproof.reports.claims.read.expressions import Worked, worked_in
from portproof.reports.claims.read.grids import Grid, grids
from portproof.reports.claims.read.logs_in_text import Log, logs_in
from portproof.reports.claims.read.models import Models
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import deviation
from portproof.reports.claims.read.prose import Claim, claims_in
from portproof.reports.claims.read.rate_tables import RateTable, tables_in

T = TypeVar("T")
#: How far above a log the sentence that is worked from it may stand, in lines.
_CAPTION = 8
#: A README shows at most some dozens of logs; beyond this it is no README, and pairing everything
#: with everything would not end.
_MOST_LOGS = 100
_MOST_CLAIMS = 400
_MOST_WORKED = 1_000
_MOST_TABLES = 100


class DocumentFacts:
    """What a document shows: logs with batch and device, claims, tables, and conclusions."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self._known: dict[Callable[..., Any], Any] = {}

    def once(self, read: Callable[[DocumentFacts], T]) -> T:
        """What a function reads from this document, kept for all rules that ask for it.

        A rule that needs something new brings its own function, and this class stays as it is.
        """
        if read not in self._known:
            self._known[read] = read(self)
        known: T = self._known[read]
        return known

    @cached_property
    def left_out(self) -> list[str]:
        """What was left out because there is more of it than any README has."""
        full = {
            "logs": len(self._logs) > _MOST_LOGS,
            "stated throughputs": len(self._claims) > _MOST_CLAIMS,
            "tables": len(self._tables) > _MOST_TABLES,
        }
        return [
            f"there are too many {what}: only the first were read" for what in full if full[what]
        ]

    @cached_property
    def models(self) -> Models:
        """The models that the commands name."""
        return Models(self.document)

    @cached_property
    def grids(self) -> list[Grid]:
        """Every table, in order."""
        return grids(self.document)

    @cached_property
    def _tables(self) -> list[RateTable]:
        return tables_in(self.document, self.grids)

    @property
    def tables(self) -> list[RateTable]:
        """The tables of throughputs."""
        return self._tables[:_MOST_TABLES]

    @cached_property
    def _logs(self) -> list[Log]:
        return logs_in(self.document)

    @cached_property
    def logs(self) -> list[Log]:
        """The pasted logs."""
        return self._logs[:_MOST_LOGS]

    @cached_property
    def worked(self) -> dict[int, list[Worked]]:
        """The worked arithmetic of each line that has some."""
        return _worked_by_line(self.document)

    @cached_property
    def _claims(self) -> list[Claim]:
        claims = claims_in(self.document, self.logs, self.worked)
        return list(islice(claims, _MOST_CLAIMS + 1))

    @cached_property
    def claims(self) -> list[Claim]:
        """The throughputs stated in prose."""
        return self._claims[:_MOST_CLAIMS]

    @cached_property
    def runs(self) -> list[AssignedLog]:
        """The logs with the batch, the device and the conclusions that belong to each."""
        runs = assigned_logs(self.document, self.logs, self.claims, self.models)
        for run in runs:
            for claim in run.conclusions[:1]:
                run.labels += self._labels_in_tables(claim, run.device)
        return runs

    def _labels_in_tables(self, claim: Claim, device: str | None) -> list[BatchLabel]:
        """The batch of the only row in a table's column that holds a worked figure."""
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
        by_claim: dict[int, list[BatchLabel]] = {}
        floor = -1
        lasts = sorted(log.last for log in self.logs)
        for claim in self.claims:
            if (
                id(claim) not in self.concluded
                and claim.form == "latency"
                and not self._is_caption(claim)
            ):
                log_above = (
                    lasts[bisect(lasts, claim.line) - 1] if lasts and lasts[0] <= claim.line else -1
                )
                labels = labels_of_claim(self.document, claim, max(floor, log_above))
                by_claim[id(claim)] = (
                    labels
                    + self._labels_in_tables(claim, claim.device)
                    + self._labels_of_uses(claim)
                )
            floor = claim.line
        return by_claim

    def _is_caption(self, claim: Claim) -> bool:
        """Whether a worked figure stands above the log that it is worked from, as its title."""
        below = [log for log in self.logs if 0 < log.first - claim.line <= _CAPTION]
        first = min(below, key=lambda log: log.first, default=None)
        principal = first.principal if first else None
        return bool(
            principal and claim.batch and claim.operand and claim.operand.value == principal.value
        )

    def _labels_of_uses(self, claim: Claim) -> list[BatchLabel]:
        """The batches under which the same printed time is worked with elsewhere."""
        text = claim.operand.text if claim.operand and claim.operand.digits >= 5 else None
        uses = [
            c
            for c in self.claims
            if text and c.line != claim.line and c.operand and c.operand.text == text and c.batch
        ]
        return [BatchLabel(c.batch or 0, "another use", c.line) for c in uses[:1]]


def _worked_by_line(document: Document) -> dict[int, list[Worked]]:
    pairs = (
        (number, worked)
        for number, line in enumerate(document.lines)
        for worked in islice(worked_in(line), 20)
    )
    by_line: dict[int, list[Worked]] = {}
    for number, worked in islice(pairs, _MOST_WORKED):
        by_line.setdefault(number, []).append(worked)
    return by_line
