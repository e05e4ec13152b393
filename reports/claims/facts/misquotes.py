"""Conclusions below a log that work from another figure than the log's."""

from __future__ import annotations

import re
from dataclasses import dataclass

from portproof.reports.claims.facts.assigned import AssignedLog
from portproof.reports.claims.facts.conclusions import uses
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.chips import most_chips
from portproof.reports.claims.read.context import TUNED
from portproof.reports.claims.read.printed import RESTATED, Printed, deviation, same, shown
from portproof.reports.claims.read.prose import Claim

#: A figure so few lines below a log is this log's, tuned or not.
_ADJACENT = 3
_NAMES_THE_RATE = re.compile(r"interface|吞吐|through?put", re.IGNORECASE)


@dataclass(frozen=True)
class Misquote:
    """A conclusion below a log whose operand is not the log's figure."""

    claim: Claim
    run: AssignedLog
    operand: Printed
    correct: Printed
    correct_line: int
    derived: str


def misquotes(facts: DocumentFacts) -> list[Misquote]:
    """Conclusions that work from a figure other than the log's, beyond half a percent."""
    drawn = ((run, claim) for run in facts.runs for claim in run.conclusions)
    return [wrong for run, claim in drawn if (wrong := _misquote(facts, run, claim))]


def _misquote(facts: DocumentFacts, run: AssignedLog, claim: Claim) -> Misquote | None:
    principal = run.log.principal
    if principal is None or uses(claim, run.log) or _is_of_another(claim, run):
        return None
    line = facts.document.lines[claim.line]
    operand = claim.operand or _called_the_logs(claim, run, line)
    if operand is None or (claim.form == "latency") != run.log.is_latency:
        return None
    if _is_other_runs(facts, operand, run) or _is_other_reading(facts, operand, run, line):
        return None
    card = most_chips() * principal.value
    if claim.form == "plain" and deviation(operand.value, card) <= RESTATED:
        return None
    value, term = claim.factor * principal.value, f"{principal.figure.text}*{claim.factor:g}"
    if claim.form == "latency":
        value = 1000 * claim.factor / principal.value
        term = f"1000*{claim.factor:g}/{principal.figure.text}"
    derived = f"{shown(value)} = {term}"
    return Misquote(claim, run, operand, principal.figure, principal.line, derived)


def _is_of_another(claim: Claim, run: AssignedLog) -> bool:
    """Whether the claim names another batch or device than the log's: it may be another log's."""
    other_batch = claim.batch and run.batch and claim.batch != run.batch
    return bool(other_batch or (claim.device and claim.device != run.device))


def _called_the_logs(claim: Claim, run: AssignedLog, line: str) -> Printed | None:
    """The figure of a plain claim that the text calls by the name of the log's rate."""
    adjacent = claim.line <= run.log.last + _ADJACENT
    named = _NAMES_THE_RATE.search(line) and (adjacent or not TUNED.search(line))
    return claim.figure if named and not run.log.is_latency else None


def _is_other_reading(facts: DocumentFacts, operand: Printed, run: AssignedLog, line: str) -> bool:
    """Whether the operand is another clock's figure of the same run, and the text does not call
    it by the wrong name.
    """
    if run.log.is_latency:
        around = facts.document.lines[max(0, run.log.first - 15) : run.log.last + 12]
        return operand.digits >= 4 and any(
            operand.text in text
            for text in around
            if "min" in text or "mean" in text or "med" in text
        )
    others = [reading.value for name, reading in run.log.readings.items() if name.endswith("rate")]
    return "interface" not in line.lower() and any(
        same(operand, value) or same(operand, most_chips() * value) for value in others
    )


def _is_other_runs(facts: DocumentFacts, operand: Printed, run: AssignedLog) -> bool:
    """Whether the operand is the figure of another pasted log."""
    return any(
        other is not run
        and other.log.principal
        and same(operand, other.log.principal.value)
        and operand.digits >= 3
        for other in facts.runs
    )
