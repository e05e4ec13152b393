"""The claims that are drawn from a log: those below it that use its figure."""

from __future__ import annotations

from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import COMMAND, PERF_FILE, batch_in
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import RESTATED, deviation
from portproof.reports.claims.read.prose import Claim

#: How far below a log its conclusion may be, in lines.
_BELOW = 8


def conclusions(
    document: Document, log: Log, claims: list[Claim], ceiling: int, batches: frozenset[int]
) -> list[Claim]:
    """The claims below a log that are drawn from it: those that use its figure, and the first one
    if nothing is between. ``batches`` are what the file name, the titles and the figures of the log
    name.
    """

    principal = log.principal
    stop = min(ceiling, log.last + 1 + _BELOW)
    heading = next((h.line for h in document.headings if log.last < h.line < stop), stop)
    drawn: list[Claim] = []
    for claim in claims:
        if not log.last < claim.line < heading or principal is None:
            continue
        if (claim.device in ("GPU", "other GPU")) != (
            log.family == "trtexec"
        ) and claim.device is not None:
            continue
        # A line that gives the figures of several batches sums several logs up.
        sums_up = claim.form == "plain" and any(
            c.line == claim.line and c.batches != claim.batches for c in claims
        )
        adjacent = (
            not drawn
            and not sums_up
            and not any(_leads_on(document.lines[n]) for n in range(log.last + 1, claim.line))
        )
        if _is_of_other_batch(claim, log, batches) and not _is_printed(claim, log):
            continue
        if uses(claim, log) or adjacent:
            drawn.append(claim)
    return drawn


def _is_of_other_batch(claim: Claim, log: Log, batches: frozenset[int]) -> bool:
    """Whether a figure is stated for a batch that is none of those that name the log's."""
    plain = claim.form == "plain" and not log.is_latency
    return plain and claim.batch is not None and bool(batches) and claim.batch not in batches


def _is_printed(claim: Claim, log: Log) -> bool:
    """Whether the claim prints the log's figure, digit by digit."""
    principal = log.principal
    return bool(principal and claim.figure and claim.figure.value == principal.value)


def _leads_on(line: str) -> bool:
    """Whether a line begins another measurement: it names a batch, command or log only."""
    return bool(PERF_FILE.search(line) or COMMAND.search(line) or batch_in(line))


def uses(claim: Claim, log: Log) -> bool:
    """Whether the claim's operand is the log's figure (its principal one, trtexec's rate, or within
    half a percent of either).
    """
    if claim.operand:
        names = ["throughput"] if claim.form == "rate" else ["compute.mean", "compute.median"]
        candidates = [log.get(name) for name in names] + (
            [log.principal] if (claim.form == "latency") == log.is_latency else []
        )
        return any(
            r is not None and deviation(claim.operand.value, r.value) <= RESTATED
            for r in candidates
        )
    principal = log.principal
    return (
        principal is not None
        and not log.is_latency
        and deviation(claim.value, principal.value) <= RESTATED
    )


def divisor(claim: Claim) -> int | None:
    """The batch that a worked time was divided by: ``1000/(m/16)``, ``4*1000*16/m``."""
    whole = [number for number in claim.whole_factors if number != 1]
    if (chips := chips_of(claim.device)) in whole:
        whole.remove(chips)
    if not whole:
        return 1 if claim.whole_factors else None
    return whole[0] if len(whole) == 1 else None
