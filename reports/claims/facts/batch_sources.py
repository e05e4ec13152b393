"""What names the batch of a log or a worked figure: text, file, command, figures, conclusions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from portproof.logs.consistency import mean_batch
from portproof.reports.claims.facts.conclusions import divisor, uses
from portproof.reports.claims.read.chips import chips_of
from portproof.reports.claims.read.context import COMMAND, PERF_FILE, batch_in, command_batch
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import deviation
from portproof.reports.claims.read.prose import Claim

USUAL_BATCHES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
#: How far above a log its heading, file name and command may be, in lines.
_ABOVE = 16
_BOILERPLATE = 130
#: With fewer samples the last, short batch and the start of the pipeline weigh more; below the
#: least they decide.
_ENOUGH_SAMPLES, _LEAST_SAMPLES = 1000, 50
_TOOL_SAYS = re.compile(r"try get model batchsize:\s?\d")


@dataclass(frozen=True)
class BatchLabel:
    """One thing that names a run's batch. ``weight`` 2: measured or computed; 1: beside it."""

    batch: int
    source: str
    line: int
    weight: int = 1


def labels_of_claim(document: Document, claim: Claim, floor: int) -> list[BatchLabel]:
    """The labels of a worked figure whose log is not shown: its own, its divisor's, and those above
    it down from ``floor``.
    """
    labels = labels_above(document, "", claim.line, floor)
    if claim.batch:
        labels.append(BatchLabel(claim.batch, "conclusion", claim.line))
    batch = divisor(claim)
    if batch and claim.form == "latency":
        labels.append(BatchLabel(batch, "division", claim.line, 2 if batch > 1 else 1))
    return labels


def labels_above(document: Document, family: str, first: int, floor: int) -> list[BatchLabel]:
    """The nearest heading or sentence, file name and command above a log's ``first`` line that name
    one batch each.
    """
    labels: dict[str, BatchLabel] = {}
    stop = max(floor, first - _ABOVE)
    headings = {heading.line for heading in document.headings}
    for number in range(first - 1, stop, -1):
        line = document.lines[number]
        file, command = PERF_FILE.search(line), COMMAND.search(line)
        if file:
            labels.setdefault("file name", BatchLabel(int(file[1] or file[2]), "file name", number))
        if command:
            batch = command_batch(line)
            if batch:
                labels.setdefault("command", BatchLabel(batch, "command", number))
            continue
        if _TOOL_SAYS.search(line):
            labels.setdefault("log", BatchLabel(batch_in(line) or 1, "log line", number, 2))
            continue
        rest = line[: file.start()] if file else line
        batch = batch_in(rest) if len(rest) < _BOILERPLATE else None
        if batch:
            labels["text"] = BatchLabel(batch, "text", number)
        if batch or number in headings:
            # The lines above a title belong to something else.
            break
    own = document.lines[first]
    inline = PERF_FILE.search(own)
    if inline:
        labels.setdefault("file name", BatchLabel(int(inline[1] or inline[2]), "file name", first))
    elif family == "msame" and batch_in(own):
        labels["text"] = BatchLabel(batch_in(own) or 0, "text", first)
    return list(labels.values())


def labels_measured(log: Log) -> list[BatchLabel]:
    """The batch that the log's own figures show."""
    if log.printed_batch:
        return [BatchLabel(log.printed_batch, "log", log.last, 2)]
    effective, samples, post = log.effective_batch, log.samples, log.get("post.rate")
    if effective is None or samples is None or samples < _LEAST_SAMPLES or post is None:
        return []
    for batch in USUAL_BATCHES:
        if deviation(effective, mean_batch(batch, round(samples))) <= 0.01:
            return [BatchLabel(batch, "log", post.line, 2 if samples >= _ENOUGH_SAMPLES else 1)]
    return []


def labels_concluded(log: Log, conclusions: Sequence[Claim]) -> list[BatchLabel]:
    """The batches that the conclusions name, and the one that they divide by."""
    labels: list[BatchLabel] = []
    for claim in conclusions[:2]:
        restates_time = claim.form == "plain" and log.is_latency
        if claim.batch and (uses(claim, log) or restates_time):
            labels.append(BatchLabel(claim.batch, "conclusion", claim.line))
        batch = divisor(claim)
        if batch and claim.form == "latency":
            labels.append(BatchLabel(batch, "division", claim.line, 2 if batch > 1 else 1))
    mean = log.get("compute.mean")
    plain = next((c for c in conclusions if c.form == "plain"), None)
    if (
        plain
        and mean
        and mean.value
        and not log.printed_batch
        and plain.figure
        and plain.figure.digits >= 3
    ):
        ratio = plain.value * mean.value / 1000 / chips_of(plain.device)
        labels += [
            BatchLabel(batch, "division", plain.line, 2)
            for batch in USUAL_BATCHES
            if deviation(ratio, batch) <= 0.002
        ]
    unique = {(label.batch, label.source): label for label in reversed(labels)}
    return list(unique.values())
