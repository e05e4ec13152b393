"""Batch labels that the log, its command, its file name and what is worked from it refute."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.reports.audits.facts import Facts
from portproof.reports.audits.findings import Finding, Outcome, Verdict
from portproof.reports.audits.runs import Label


def check(facts: Facts) -> Iterator[Outcome]:
    """Every run with at least two labels."""
    for run in facts.runs:
        if len(run.labels) > 1:
            yield from _judge(facts, run.labels)
    for labels in facts.loose_labels.values():
        if len(labels) > 1:
            yield from _judge(facts, labels)


def _judge(facts: Facts, labels: list[Label]) -> Iterator[Outcome]:
    weights: dict[int, int] = {}
    for label in labels:
        weights[label.batch] = weights.get(label.batch, 0) + label.weight
    best = max(weights, key=lambda batch: weights[batch])
    for label in labels:
        if label.batch == best:
            yield Finding(Verdict.AGREES, "log-self", label.line + 1, f"batch {label.batch}", f"batch {best}")
            continue
        against = [other for other in labels if other.batch == best]
        lead = weights[best] - weights[label.batch]
        sure = lead >= 1 and len({other.source for other in against}) >= 2 and label.source in ("text", "file name", "conclusion")
        verdict = Verdict.CONTRADICTION if sure else Verdict.AMBIGUOUS
        derived = f"batch {best}, by " + ", ".join(f"{other.source} (line {other.line + 1})" for other in against)
        stated = facts.document.lines[label.line].strip()[:80]
        yield Finding(verdict, "log-self", label.line + 1, stated, derived, against[0].line + 1)
