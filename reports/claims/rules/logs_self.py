"""The figures of one log compared with each other: samples from rate x time, read rate x latency,
order of the statistics, throughput from the mean.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from portproof.logs.consistency import PURE_SLACK, READ_SLACK, SPREADS, rate_times_latency
from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.assigned import AssignedLog
from portproof.reports.claims.facts.batch_sources import USUAL_BATCHES
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.read.logs_in_text import Log
from portproof.reports.claims.read.printed import RESTATED, deviation, shown

KIND = "log-self"
_NUMBER_OF_IMAGES = re.compile(r"(?<![\d.])(\d{2,9})\s?张|Number of images\D{0,16}(\d{2,9})")
#: Stages of benchmark that handle one sample (or batch) at a time: their rate x module latency is
#: 1 s within half a percent in 206 of 212 published logs; beyond 2 % the log was edited. The reader
#: of logs, which accuses nobody, warns between the two, at READ_SLACK.
_ONE_SAMPLE = {"read": "data read", "preprocess": "preprocess", "post": "post"}
_READ_USUAL, _READ_EDITED = READ_SLACK / 2, 2 * READ_SLACK
#: The tool averages rate and latency apart: up to 12 % for latencies below a millisecond, while the
#: reader of logs warns at PURE_SLACK already.
_PURE_USUAL, _PURE_EDITED = 0.07 + PURE_SLACK, 6 * PURE_SLACK
#: Infer over post rate strays where the post stage is the bottleneck, by up to 15 %; alone it
#: proves nothing.
_POST_EDITED = 0.15
_LARGEST_TOLD = 40


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every pasted log."""
    usual = _usual_samples(facts)
    for run in facts.runs:
        if run.log.family == "benchmark":
            yield from _benchmark(run, usual)
        elif run.log.family == "pureinfer":
            yield from _pure(run.log)
        else:
            yield from _order(run.log)
            yield from _other_orders(run.log)
            yield from _throughput(run.log)


def _usual_samples(facts: DocumentFacts) -> float | None:
    """The number of samples of the consistent logs, else one in both a log and the text."""
    logs = [run.log for run in facts.runs if run.log.samples]
    counts = Counter(round(log.samples or 0) for log in logs if not _is_edited(log))
    if counts:
        return counts.most_common(1)[0][0]
    named = {
        int(group)
        for line in facts.document.lines
        for match in _NUMBER_OF_IMAGES.finditer(line)
        for group in match.groups()
        if group
    }
    return next(
        (float(n) for log in logs for n in named if deviation(log.samples or 0, n) <= 1e-3), None
    )


def _is_edited(log: Log) -> bool:
    read = rate_times_latency(log.run, "read")
    return read is not None and deviation(read, 1) > _READ_EDITED


def _benchmark(run: AssignedLog, usual: float | None) -> Iterator[Answer]:
    edited = False
    for section, shown_as in _ONE_SAMPLE.items():
        rate, latency = run.log.get(f"{section}.rate"), run.log.get(f"{section}.latency")
        product = rate_times_latency(run.log.run, section)
        # One finding is enough for one edited log.
        if product is not None and rate and latency and not edited:
            off = deviation(product, 1)
            edited = off > _READ_EDITED
            verdict = (
                Agreement.CONTRADICTION
                if edited
                else Agreement.AMBIGUOUS
                if off > _READ_USUAL
                else Agreement.AGREES
            )
            stated = (
                f"[{shown_as}] throughputRate: {rate.figure.text}, moduleLatency:"
                f" {latency.figure.text}"
            )
            derived = f"rate x latency = {product:.4f} s, it must be 1"
            yield Checked(verdict, KIND, rate.line + 1, stated, derived, rate.line + 1)
    yield from _samples(run.log, usual)
    yield from _post(run, usual)
    yield from _contained(run.log)


def _contained(log: Log) -> Iterator[Answer]:
    """End to end cannot be faster than inference, which is a part of it."""
    e2e, infer = log.get("e2e.rate"), log.get("infer.rate")
    if e2e and infer:
        verdict = (
            Agreement.CONTRADICTION
            if e2e.value > infer.value * (1 + _READ_EDITED)
            else Agreement.AGREES
        )
        stated = f"[e2e] throughputRate: {e2e.figure.text}"
        derived = f"not above the infer rate {infer.figure.text}"
        yield Checked(verdict, KIND, e2e.line + 1, stated, derived, infer.line + 1)


def _samples(log: Log, usual: float | None) -> Iterator[Answer]:
    e2e, latency, samples = log.get("e2e.rate"), log.get("e2e.latency"), log.samples
    if e2e is None or latency is None or samples is None or usual is None:
        return
    # A run over another data set is consistent in itself.
    other = Agreement.CONTRADICTION if _is_edited(log) else Agreement.AMBIGUOUS
    verdict = Agreement.AGREES if deviation(samples, usual) <= RESTATED else other
    stated = f"[e2e] throughputRate: {e2e.figure.text}, latency: {latency.figure.text}"
    derived = f"{shown(samples)} samples; the other logs show {shown(usual)}"
    yield Checked(verdict, KIND, e2e.line + 1, stated, derived, e2e.line + 1)


def _post(run: AssignedLog, usual: float | None) -> Iterator[Answer]:
    log = run.log
    post, effective, batch = log.get("post.rate"), log.effective_batch, run.batch
    if post is None or effective is None or batch is None or usual is None or usual < 20 * batch:
        return
    off = deviation(effective, batch)
    strays = (
        Agreement.CONTRADICTION if _is_edited(log) and off > _POST_EDITED else Agreement.AMBIGUOUS
    )
    verdict = Agreement.AGREES if off <= 0.05 else strays
    stated = f"[post] throughputRate: {post.figure.text}"
    derived = f"infer rate / post rate = {effective:.4g}, the batch is {batch}"
    yield Checked(verdict, KIND, post.line + 1, stated, derived, post.line + 1)


def _pure(log: Log) -> Iterator[Answer]:
    rate, latency = log.get("rate"), log.get("latency")
    product = rate_times_latency(log.run, "infer")
    if product is None or rate is None or latency is None:
        return
    off = deviation(product, 1)
    per_batch = any(deviation(product, batch) <= 0.05 for batch in USUAL_BATCHES)
    verdict = graded(off <= _PURE_USUAL, off <= _PURE_EDITED or per_batch)
    stated = f"ave_throughputRate: {rate.figure.text}, ave_latency: {latency.figure.text}"
    derived = f"rate x latency = {product:.4f} s, it must be about 1"
    yield Checked(verdict, KIND, rate.line + 1, stated, derived, rate.line + 1)


_ORDER = (
    ("min", "median"),
    ("min", "mean"),
    ("median", "max"),
    ("mean", "max"),
    ("median", "percentile"),
    ("percentile", "max"),
)


def _order(log: Log) -> Iterator[Answer]:
    """min <= median <= percentile <= max, and min <= mean <= max."""
    for low, high in _ORDER:
        first, second = log.get(f"compute.{low}"), log.get(f"compute.{high}")
        if first and second:
            wrong = first.value > second.value + max(first.figure.ulp, second.figure.ulp)
            verdict = Agreement.CONTRADICTION if wrong else Agreement.AGREES
            derived = f"{low} {first.figure.text} must not be above {high} {second.figure.text}"
            stated = f"{low} = {first.figure.text}"
            yield Checked(verdict, KIND, first.line + 1, stated, derived, second.line + 1)


def _other_orders(log: Log) -> Iterator[Answer]:
    """The same of the copies, the enqueue time and the latency, which no README restates."""
    figures = {f.name: f for f in log.run.figures if f.value is not None and f.unit == "s"}
    for group in SPREADS:
        for low, high in _ORDER if group != "compute" else ():
            names = [f"{group}_{'p99' if k == 'percentile' else k}" for k in (low, high)]
            first, second = (figures.get(name) for name in names)
            if first and second and first.value and second.value:
                wrong = first.value > second.value * (1 + RESTATED)
                verdict = Agreement.CONTRADICTION if wrong else Agreement.AGREES
                stated = f"{names[0]} {shown(1000 * first.value)} ms"
                derived = f"not above {names[1]} {shown(1000 * second.value)} ms"
                yield Checked(verdict, KIND, first.line + 1, stated, derived, second.line + 1)


def _throughput(log: Log) -> Iterator[Answer]:
    """ais_bench: throughput = 1000 x batch / mean; the version of 2022 divided by the batch."""
    mean, throughput = log.get("compute.mean"), log.get("throughput")
    if log.family != "ais_bench" or mean is None or throughput is None or not mean.value:
        return
    batches = [log.printed_batch] if log.printed_batch else list(USUAL_BATCHES)
    derived = [value for b in batches for value in (1000 * b / mean.value, 1000 / b / mean.value)]
    nearest = min(derived, key=lambda value: deviation(throughput.value, value))
    off = deviation(throughput.value, nearest)
    other_batch = not log.printed_batch and _may_be_whole(throughput.value * mean.value / 1000)
    verdict = graded(off <= 0.001, off <= RESTATED or other_batch)
    text = f"{shown(nearest)} = 1000 x batch / {mean.figure.text}"
    stated = f"throughput {throughput.figure.text}"
    yield Checked(verdict, KIND, throughput.line + 1, stated, text, mean.line + 1)


def _may_be_whole(batch: float) -> bool:
    """Whether a quotient may be a batch, or 1/batch: a large one always is nearly whole."""
    return not 1 / _LARGEST_TOLD < batch < _LARGEST_TOLD or any(
        deviation(b, max(round(b), 1)) <= RESTATED for b in (batch, 1 / batch)
    )
