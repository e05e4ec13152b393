"""Batch labels that the log, its command, its file name and what is worked from it refute."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked
from portproof.reports.claims.facts.batch_sources import BatchLabel
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.context import TUNED

_LEAST_DIGITS = 4


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every run with at least two labels."""
    for run in facts.runs:
        if len(run.labels) > 1:
            yield from _judge(facts, run.labels)
    yield from _borrowed(facts)
    yield from _in_tables(facts)
    for labels in facts.loose_labels.values():
        if len(labels) > 1:
            yield from _judge(facts, labels)


def _borrowed(facts: DocumentFacts) -> Iterator[Answer]:
    """A log's figure, printed digit by digit, under another batch than the log's."""
    runs = {
        run.log.principal.figure.text: run
        for run in reversed(facts.runs)
        if run.log.principal and run.log.principal.figure.digits >= 5
    }
    named: set[int] = set()
    for claim in facts.claims:
        run = (
            runs.get(claim.operand.text)
            if claim.operand and id(claim) not in facts.concluded
            else None
        )
        if run is None or not run.batch or not claim.batch or claim.line in named:
            continue
        right = claim.batch == run.batch
        named |= set() if right else {claim.line}
        sure = (
            Agreement.CONTRADICTION
            if run.support[run.batch] >= 3 and run.support[claim.batch] == 0
            else Agreement.AMBIGUOUS
        )
        stated = facts.document.lines[claim.line].strip()[:80]
        derived = (
            f"batch {run.batch}: {claim.operand.text if claim.operand else ''} is the figure of"
            " its log"
        )
        verdict = Agreement.AGREES if right else sure
        yield Checked(verdict, "log-self", claim.line + 1, stated, derived, run.log.last + 1)


def _in_tables(facts: DocumentFacts) -> Iterator[Answer]:
    """A rate that is stated for one batch, and stands digit by digit in a table's row of another,
    while the row of the stated batch has another figure.
    """
    columns = [c for table in facts.tables for c in table.rates if not c.latency and not c.variant]
    for claim in facts.claims:
        line = facts.document.lines[claim.line]
        if claim.form != "plain" or claim.figure is None or not claim.batch or TUNED.search(line):
            continue
        figure = claim.figure
        holders = [
            (c, v) for c in columns for v in c.values if v.batch and v.figure.text == figure.text
        ]
        if len(holders) != 1 or figure.digits < _LEAST_DIGITS:
            continue
        column, holder = holders[0]
        own = [v for v in column.values if v.batch == claim.batch and not v.best]
        if claim.device not in (None, column.device) or len(own) != 1 or own[0] is holder:
            continue
        derived = f"batch {holder.batch}: batch {claim.batch} has {own[0].figure.text} in the table"
        stated, verdict = line.strip()[:80], Agreement.CONTRADICTION
        yield Checked(verdict, "log-self", claim.line + 1, stated, derived, holder.line + 1)


def _judge(facts: DocumentFacts, labels: list[BatchLabel]) -> Iterator[Answer]:
    weights: dict[int, int] = {}
    for label in labels:
        weights[label.batch] = weights.get(label.batch, 0) + label.weight
    best = max(weights, key=lambda batch: weights[batch])
    for label in labels:
        if label.batch == best or weights[best] == label.weight:
            follows = f"batch {best}"
            yield Checked(
                Agreement.AGREES, "log-self", label.line + 1, f"batch {label.batch}", follows
            )
            continue
        against = [other for other in labels if other.batch == best]
        lead = weights[best] - weights[label.batch]
        sure = (
            lead >= 1
            and len({other.source for other in against}) >= 2
            and label.source in ("text", "file name", "conclusion")
        )
        verdict = Agreement.CONTRADICTION if sure else Agreement.AMBIGUOUS
        derived = f"batch {best}, by " + ", ".join(
            f"{other.source} (line {other.line + 1})" for other in against
        )
        stated = facts.document.lines[label.line].strip()[:80]
        yield Checked(verdict, "log-self", label.line + 1, stated, derived, against[0].line + 1)
