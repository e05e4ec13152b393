"""Which batch and which device each pasted log belongs to, by everything in the document that says
so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

from portproof.logs.checks import mean_batch
from portproof.reports.claims.read.context import LARGEST_BATCH, batch_in, device_in, devices_in
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.plain_text import Document
from portproof.reports.claims.read.printed import RESTATED, deviation
from portproof.reports.claims.read.prose import Claim

USUAL_BATCHES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 256)
#: How far above a log its heading, file name and command may stand, and how far below it its
#: conclusion, in lines.
_ABOVE, _BELOW = 16, 8
_BOILERPLATE = 130
#: With fewer samples the last, short batch and the start of the pipeline weigh more; below the
#: least they decide.
_ENOUGH_SAMPLES, _LEAST_SAMPLES = 1000, 50

_PERF_FILE = re.compile(
    r"perf_[a-z]+_batchsize_(\d{1,4})_device_\d+"
    r"|PureInfer_perf_of_[^\s/]{0,120}?bs_?(\d{1,4})_",
    re.IGNORECASE,
)
_COMMAND = re.compile(
    r"benchmark\S*\s+--?\w|ais_(?:infer|bench)\S*\s+--?\w|msame\s+--|trtexec\s+--"
    r"|--shapes|-om_path|--model[ =]"
)
_COMMAND_BATCH = re.compile(
    r"--?batch_?size[ =](\d{1,4})(?![\d.])"
    r"|--shapes=\S{0,60}?:(\d{1,4})x"
    r"|--batch=(\d{1,4})(?!\d)"
    r"|--dymBatch[ =](\d{1,4})",
    re.IGNORECASE,
)
_TOOL_SAYS = re.compile(r"try get model batchsize:\s?\d")
_MODEL_BATCH = re.compile(r"[_-](?:bs|batch)_?(\d{1,4})(?![\d.]*\d)", re.IGNORECASE)


@dataclass(frozen=True)
class BatchLabel:
    """One thing that says which batch a run had. ``weight`` 2: measured or computed with; 1:
    written beside it.
    """

    batch: int
    source: str
    line: int
    weight: int = 1


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
        """For each batch, the weight of what speaks for it."""
        support: Counter[int] = Counter()
        for label in self.labels:
            support[label.batch] += label.weight
        return support

    @property
    def batch(self) -> int | None:
        """The batch that most speaks for, None when two have the same support."""
        ranked = self.support.most_common(2)
        if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
            return None
        return ranked[0][0]

    @property
    def chips_on_card(self) -> int:
        """How many of the measured chips a card has: tools measure one chip, and a 310 card has
        four.
        """
        return 4 if self.device == "310" else 1


def assigned_logs(document: Document, logs: list[Log], claims: list[Claim]) -> list[AssignedLog]:
    """Every log with its labels, conclusions and device."""
    runs = [AssignedLog(log) for log in logs]
    for index, run in enumerate(runs):
        floor = max((other.log.last for other in runs[:index]), default=-1)
        ceiling = min((other.log.first for other in runs[index + 1 :]), default=len(document.lines))
        run.conclusions = _conclusions(document, run.log, claims, ceiling)
        floor = max([floor, *(claim.line for claim in claims if claim.line < run.log.first)])
        run.labels += _labels_above(document, run.log.family, run.log.first, floor)
        run.labels += _labels_measured(run)
        run.labels += _labels_concluded(run)
        run.device = _device(document, run, {claim.line for claim in claims})
    return runs


def labels_of_claim(document: Document, claim: Claim, floor: int) -> list[BatchLabel]:
    """The labels of a worked figure whose log is not shown: its own, its divisor's, and those above
    it down from ``floor``.
    """
    labels = _labels_above(document, "", claim.line, floor)
    if claim.batch:
        labels.append(BatchLabel(claim.batch, "conclusion", claim.line))
    batch = divisor(claim)
    if batch and claim.form == "latency":
        labels.append(BatchLabel(batch, "division", claim.line, 2 if batch > 1 else 1))
    return labels


def _labels_above(document: Document, family: str, first: int, floor: int) -> list[BatchLabel]:
    """The nearest heading or sentence, file name and command above a log's ``first`` line that name
    one batch each.
    """
    found: dict[str, BatchLabel] = {}
    stop = max(floor, first - _ABOVE)
    headings = {heading.line for heading in document.headings}
    for number in range(first - 1, stop, -1):
        line = document.lines[number]
        file, command = _PERF_FILE.search(line), _COMMAND.search(line)
        if file:
            found.setdefault("file name", BatchLabel(int(file[1] or file[2]), "file name", number))
        if command:
            batch = _command_batch(line)
            if batch:
                found.setdefault("command", BatchLabel(batch, "command", number))
            continue
        if _TOOL_SAYS.search(line):
            found.setdefault("log", BatchLabel(batch_in(line) or 1, "log line", number, 2))
            continue
        rest = line[: file.start()] if file else line
        batch = batch_in(rest) if len(rest) < _BOILERPLATE else None
        if batch:
            found["text"] = BatchLabel(batch, "text", number)
        if batch or number in headings:
            # What stands above a title belongs to something else.
            break
    own = document.lines[first]
    inline = _PERF_FILE.search(own)
    if inline:
        found.setdefault("file name", BatchLabel(int(inline[1] or inline[2]), "file name", first))
    elif family == "msame" and batch_in(own):
        found["text"] = BatchLabel(batch_in(own) or 0, "text", first)
    return list(found.values())


def _command_batch(line: str) -> int | None:
    for pattern in (_COMMAND_BATCH, _MODEL_BATCH):
        found = {
            int(group) for match in pattern.finditer(line) for group in match.groups() if group
        }
        if len(found) == 1 and 0 < min(found) <= LARGEST_BATCH:
            return found.pop()
        if found:
            return None
    return None


def _labels_measured(run: AssignedLog) -> list[BatchLabel]:
    """The batch that the log's own figures show."""
    log = run.log
    if log.printed_batch:
        return [BatchLabel(log.printed_batch, "log", log.last, 2)]
    effective, samples, post = log.effective_batch, log.samples, log.get("post.rate")
    if effective is None or samples is None or samples < _LEAST_SAMPLES or post is None:
        return []
    for batch in USUAL_BATCHES:
        if deviation(effective, mean_batch(batch, round(samples))) <= 0.01:
            return [BatchLabel(batch, "log", post.line, 2 if samples >= _ENOUGH_SAMPLES else 1)]
    return []


def _conclusions(document: Document, log: Log, claims: list[Claim], ceiling: int) -> list[Claim]:
    """The claims below a log that are drawn from it: those that use its figure, and the first one
    if nothing stands between.
    """
    principal = log.principal
    stop = min(ceiling, log.last + 1 + _BELOW)
    heading = next((h.line for h in document.headings if log.last < h.line < stop), stop)
    found: list[Claim] = []
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
            not found
            and not sums_up
            and not any(_leads_on(document.lines[n]) for n in range(log.last + 1, claim.line))
        )
        if uses(claim, log) or adjacent:
            found.append(claim)
    return found


def _leads_on(line: str) -> bool:
    """Whether a line begins another measurement: it names a batch, a command or a log file, and
    states nothing.
    """
    return bool(_PERF_FILE.search(line) or _COMMAND.search(line) or batch_in(line))


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


def _labels_concluded(run: AssignedLog) -> list[BatchLabel]:
    """The batches that the conclusions name, and the one that they divide by."""
    found: list[BatchLabel] = []
    for claim in run.conclusions[:2]:
        restates_time = claim.form == "plain" and run.log.is_latency
        if claim.batch and (uses(claim, run.log) or restates_time):
            found.append(BatchLabel(claim.batch, "conclusion", claim.line))
        batch = divisor(claim)
        if batch and claim.form == "latency":
            found.append(BatchLabel(batch, "division", claim.line, 2 if batch > 1 else 1))
    mean = run.log.get("compute.mean")
    plain = next((c for c in run.conclusions if c.form == "plain"), None)
    if (
        plain
        and mean
        and mean.value
        and not run.log.printed_batch
        and plain.figure
        and plain.figure.digits >= 3
    ):
        ratio = plain.value * mean.value / 1000 / (4 if plain.device == "310" else 1)
        found += [
            BatchLabel(batch, "division", plain.line, 2)
            for batch in USUAL_BATCHES
            if deviation(ratio, batch) <= 0.002
        ]
    unique = {(label.batch, label.source): label for label in reversed(found)}
    return list(unique.values())


def divisor(claim: Claim) -> int | None:
    """The batch that a worked time was divided by: ``1000/(m/16)``, ``4*1000*16/m``."""
    whole = [number for number in claim.whole_factors if number != 1]
    if claim.device == "310" and 4 in whole:
        whole.remove(4)
    if not whole:
        return 1 if claim.whole_factors else None
    return whole[0] if len(whole) == 1 else None


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
        found = [name for name in devices_in(line) if "GPU" not in name]
        if found and len(line) < 40 and number not in stated and not _COMMAND.search(line):
            return found[0] if len(found) == 1 else None
    for heading in path:
        if devices_in(heading.text):
            return device_in(heading.text)
    return None
