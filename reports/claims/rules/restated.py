"""Figures of a log that the text restates, below the log or later."""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.assigned import AssignedLog
from portproof.reports.claims.facts.batch_sources import USUAL_BATCHES
from portproof.reports.claims.facts.conclusions import uses
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.misquotes import Misquote, misquotes
from portproof.reports.claims.facts.rate_sources import sources_of
from portproof.reports.claims.read.chips import most_chips
from portproof.reports.claims.read.context import OTHER_CONDITION, TUNED, devices_in
from portproof.reports.claims.read.printed import (
    NUMBER,
    OTHER_RUN,
    RESTATED,
    as_printed,
    deviation,
    same,
    shown,
)
from portproof.reports.claims.read.prose import Claim

KIND = "table-vs-log"
_RIGHT_BELOW = 6
#: Two figures of fewer digits beside a batch may be of anything.
_LEAST_DIGITS = 3
_COMPARES = re.compile("[<>]|高于|低于|大于|小于")
_NAMED_RATE = re.compile(
    r"(?:Interface\s{0,3}throughput\s?Rate|ave_throughputRate)"
    rf"\s?[:=]?\s?({NUMBER})(?!\d|\.\d|\s?[*xX]\s?\d)",
    re.IGNORECASE,
)


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Conclusions below their logs first; then the claims elsewhere; last, later uses of
    what was found wrong.
    """
    wrong: dict[str, Checked] = {}
    for misquote in facts.once(misquotes):
        finding = _misquoted(misquote)
        yield finding
        wrong |= {
            f.text: finding
            for f in (misquote.operand, misquote.claim.figure)
            if f and f.digits >= 5
        }
    concluded = {id(claim) for run in facts.runs for claim in run.conclusions}
    for run in facts.runs:
        for claim in run.conclusions:
            if uses(claim, run.log):
                yield _conclusion(run, claim)
            elif claim.form == "plain" and run.log.is_latency:
                yield from _rate_of_time(run, claim)
    for claim in facts.claims:
        if id(claim) in concluded or (claim.operand or claim.figure or claim).text in wrong:
            continue
        finding_elsewhere = _elsewhere(facts, claim)
        if finding_elsewhere:
            yield finding_elsewhere
            if (
                finding_elsewhere.verdict is Agreement.CONTRADICTION
                and claim.figure
                and claim.figure.digits >= 5
            ):
                wrong[claim.figure.text] = finding_elsewhere
    yield from _repeats(facts, wrong)
    for claim in facts.claims:
        if claim.form == "rate" and claim.operand:
            yield from _named(facts, claim)


def _named(facts: DocumentFacts, claim: Claim) -> Iterator[Answer]:
    """The log's figure printed by its name before the product that is worked from it: ``Interface
    throughputRate: 37.17, 37.17x4=148.68``.
    """
    match = _NAMED_RATE.search(facts.document.lines[claim.line])
    if match is None or claim.operand is None:
        return
    stated, run = as_printed(match[1]), facts.concluded.get(id(claim))
    if same(stated, claim.operand.value):
        # Whether the product's own operand is the log's is judged with the product.
        return
    principal = run.log.principal if run and not run.log.is_latency else None
    right, line = (principal.figure, principal.line) if principal else (claim.operand, claim.line)
    off = deviation(stated.value, right.value)
    verdict = graded(same(stated, right.value), off <= RESTATED)
    yield Checked(verdict, KIND, claim.line + 1, match[0], right.text, line + 1)


def _misquoted(misquote: Misquote) -> Checked:
    claim = misquote.claim
    text = (
        claim.text
        if claim.figure is None or claim.form == "plain"
        else f"{claim.text}={claim.figure.text}"
    )
    wrong, source = Agreement.CONTRADICTION, misquote.correct_line + 1
    return Checked(wrong, KIND, claim.line + 1, text, misquote.derived, source)


def _conclusion(run: AssignedLog, claim: Claim) -> Checked:
    """A conclusion that uses the log's figure, perhaps with a slip below the tolerance, or the
    median for the mean.
    """
    operand, log = claim.operand or claim.figure, run.log
    readings = [r for name in ("throughput", "compute.mean") if (r := log.get(name))] + (
        [log.principal] if log.principal else []
    )
    value = operand.value if operand else claim.value
    exact = operand is None or any(same(operand, reading.value) for reading in readings)
    nearest = min(readings, key=lambda reading: deviation(value, reading.value))
    verdict = Agreement.AGREES if exact else Agreement.AMBIGUOUS
    derived = f"{nearest.figure.text} in the log"
    return Checked(verdict, KIND, claim.line + 1, claim.shown, derived, nearest.line + 1)


def _rate_of_time(run: AssignedLog, claim: Claim) -> Iterator[Answer]:
    """A rate stated below a log of times, at the batch that the text names."""
    principal, batch = run.log.principal, claim.batch or run.batch
    if principal is None or not principal.value or batch is None or run.batch not in (None, batch):
        return
    per_second = 1000 / principal.value
    readings = [per_second * factor for factor in (batch, most_chips() * batch, 1, most_chips())]
    throughput = run.log.get("throughput")
    readings += [throughput.value, throughput.value * batch] if throughput else []
    card = per_second * batch * run.chips_on_card
    off = min(deviation(claim.value, reading) for reading in readings)
    slack = 2 * claim.figure.slack if claim.figure else 0.0
    verdict = graded(off <= 0.001 + slack, off <= OTHER_RUN + slack)
    chips = card / per_second / batch
    other = next(
        (
            b
            for b in USUAL_BATCHES
            if b != batch and deviation(claim.value, per_second * b * chips) <= 0.002
        ),
        None,
    )
    text = f"{shown(card)} = 1000*{batch}/{principal.figure.text}" + ("*4" if chips > 1 else "")
    if other and verdict is Agreement.CONTRADICTION:
        derived = f"{text}; {claim.shown} is batch {other}"
        yield Checked(verdict, "log-self", claim.line + 1, claim.shown, derived, principal.line + 1)
    else:
        yield Checked(verdict, KIND, claim.line + 1, claim.shown, text, principal.line + 1)


def _elsewhere(facts: DocumentFacts, claim: Claim) -> Checked | None:
    """A claim compared with the logs and worked figures of its device and batch above it."""
    line = facts.document.lines[claim.line]
    device = claim.device or _device_of_log_above(facts, claim)
    if claim.batch is None or device is None or TUNED.search(line) or OTHER_CONDITION.search(line):
        return None
    models = facts.models
    sources = [
        s
        for s in sources_of(facts, device, claim.batch)
        if s.line < claim.line and not models.part(claim.line, s.line)
    ]
    stated = claim.operand or claim.figure
    if not sources or stated is None:
        return None
    if claim.form == "plain" and stated.digits < _LEAST_DIGITS:
        return None
    value = claim.value
    if claim.operand and claim.form == "rate":
        value = claim.operand.value * claim.factor
    elif claim.operand and claim.operand.value:
        value = 1000 * claim.factor / claim.operand.value
    distance, nearest = min(((s.distance_of(value), s) for s in sources), key=lambda pair: pair[0])
    exact = distance <= stated.slack * 2 + 1e-5
    tolerance = OTHER_RUN if claim.form == "plain" else RESTATED
    verdict = graded(exact, distance <= tolerance)
    if verdict is Agreement.CONTRADICTION and TUNED.search(facts.document.lines[nearest.line]):
        verdict = Agreement.AMBIGUOUS
    derived = f"{shown(nearest.value)} = {nearest.text}"
    return Checked(verdict, KIND, claim.line + 1, claim.shown, derived, nearest.line + 1)


def _device_of_log_above(facts: DocumentFacts, claim: Claim) -> str | None:
    """The device of the log right above, for a line that names its batch and no device."""
    line = facts.document.lines[claim.line]
    if _COMPARES.search(line) or devices_in(line):
        return None
    above = [run for run in facts.runs if run.log.last < claim.line <= run.log.last + _RIGHT_BELOW]
    return above[-1].device if above and claim.batch and claim.batch == above[-1].batch else None


def _repeats(facts: DocumentFacts, wrong: dict[str, Checked]) -> Iterator[Answer]:
    """Worked arithmetic that repeats, digit by digit, a figure already found wrong."""
    seen = {(finding.line, text) for text, finding in wrong.items()}
    for number, arithmetic in facts.worked.items() if wrong else ():
        for worked in arithmetic:
            for side in worked.sides:
                for factor, _ in side.factors:
                    first = wrong.get(factor.text)
                    if first and first.line < number + 1 and (number + 1, factor.text) not in seen:
                        seen.add((number + 1, factor.text))
                        yield Checked(
                            Agreement.CONTRADICTION,
                            KIND,
                            number + 1,
                            factor.text,
                            first.derived,
                            first.from_line,
                        )
