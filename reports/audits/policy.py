"""Ratios and thresholds claimed in prose: ``310P性能达到了310的1.339倍``, ``均高于T4性能1.2倍``, "1.3 times"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from portproof.reports.audits.context import NPUS, batches_in, device_spans
from portproof.reports.audits.facts import Facts
from portproof.reports.audits.figures import NUMBER, RATIO, Figure, deviation, figure, same, shown
from portproof.reports.audits.findings import Finding, Outcome, Verdict

_TIMES = re.compile(rf"(?<![\d.])({NUMBER})\s?(?:倍|times\b|x(?![\w])|×(?!\s?\d))")
_CLAUSE = re.compile(r"[,;。]")
_RULE_ONLY = re.compile(r"要求|如果|若|应|需|当.*时|标准|目标|should|must|\bif\b")
_NEGATED = re.compile(r"未|没有|不到|不足|不能|无法")
_MORE = re.compile(r"高于|大于|超过|超|以上|不低于|达到|满足|>|均")
_BEST = re.compile(r"最优|最佳|best", re.IGNORECASE)
_NPU = re.compile("npu", re.IGNORECASE)
_GOES_ON = re.compile(r"\s*(?:且|并|约)?(?:是|为|达|高于|大于|超过|and\b|which\b)")
_COMPARED = re.compile(r"相比|相较|对比|compared", re.IGNORECASE)
_VARIANT = re.compile(r"aoe|tune|优化|调优", re.IGNORECASE)


_SEVERITY = [Verdict.AGREES, Verdict.AMBIGUOUS, Verdict.CONTRADICTION]


@dataclass(frozen=True)
class _Rate:
    value: float
    line: int
    slack: float


def check(facts: Facts) -> Iterator[Outcome]:
    """Every "N times" in a line of prose that names two devices and a batch or the best."""
    for number, line in enumerate(facts.document.lines):
        if "|" in facts.document.raw[number] or len(line) > 400:
            continue
        for match in _TIMES.finditer(line):
            if _RULE_ONLY.search(line) is None:
                yield from _claim(facts, number, line, match)


def _claim(facts: Facts, number: int, line: str, match: re.Match[str]) -> Iterator[Outcome]:
    start = max((m.end() for m in _CLAUSE.finditer(line, 0, match.start())), default=0)
    clause = line[start : match.start()]
    if not match[0].endswith("倍"):
        # English names the divisor after the number: "reaches 2.6 times T4".
        clause += " " + _CLAUSE.split(line[match.end() :], maxsplit=1)[0]
    named = _devices(facts, clause)
    if len(named) == 1 and (_GOES_ON.match(clause) or _COMPARED.search(line, 0, start) or _TIMES.search(line, 0, start)):
        # "..., and reaches 2.036 times T4": the subject stands in the clause before.
        before = [name for name in _devices(facts, line[:start]) if name != named[0]]
        named = before[:1] + named
    if len(named) != 2 or _VARIANT.search(line) or _NEGATED.search(clause):
        return
    batches = batches_in(clause) or (batches_in(line[:start]) if not _BEST.search(line) else [])
    best = bool(_BEST.search(line)) and not batches_in(clause)
    stated = figure(match[1])
    bound = stated.digits <= 2 or bool(_MORE.search(clause) and stated.digits <= 3 and stated.ulp >= 0.1)
    for batch in [None] if best else batches:
        pairs = list(product(*(_rates(facts, device, batch, number) for device in named)))
        if pairs:
            # "Compared with T4, 310P reaches N times": the order of the words does not tell what is divided by what.
            pairs += [(bottom, top) for top, bottom in pairs]
            findings = [
                Finding(verdict, "policy" if bound else "ratio", number + 1, match[0], derived, top.line + 1)
                for top, bottom in pairs
                if bottom.value
                for verdict, derived in [_judge(stated, bound, top, bottom)]
            ]
            yield from sorted(findings, key=lambda finding: _SEVERITY.index(finding.verdict))[:1]


def _devices(facts: Facts, text: str) -> list[str]:
    """The devices named in a text, in order; "npu" is the only NPU that the document's tables have, if they have one."""
    spans = device_spans(text)
    npus = {column.device for table in facts.tables for column in table.rates if column.device in NPUS}
    if len(npus) == 1:
        spans += [(match.start(), device) for match in _NPU.finditer(text) for device in npus if device]
    return list(dict.fromkeys(name for _, name in sorted(spans)))


def _rates(facts: Facts, device: str, batch: int | None, number: int) -> list[_Rate]:
    """The throughputs that tables, or else what stands above line ``number``, give for a device at a batch or at its best (None)."""
    found: list[_Rate] = []
    for table in facts.tables:
        for column in table.of(device):
            if column.variant or column.latency:
                return []
            rows = [v for v in column.values if (v.best if batch is None else v.batch == batch)]
            if batch is None and not rows:
                rows = sorted(column.values, key=lambda v: -v.figure.value)[:1]
            found += [_Rate(v.figure.value, v.line, v.figure.slack) for v in rows]
    if not found and batch is not None:
        found = [_Rate(s.value, s.line, 0.0) for s in facts.sources.get((device, batch), []) if s.line < number]
    return found


def _judge(stated: Figure, bound: bool, top: _Rate, bottom: _Rate) -> tuple[Verdict, str]:
    """The verdict on a stated quotient, and what follows instead; a ``bound`` is reached when the quotient is larger."""
    derived, slack = top.value / bottom.value, top.slack + bottom.slack
    if same(stated, derived, slack) or (bound and derived >= stated.value):
        verdict = Verdict.AGREES
    elif same(stated, derived - 1, slack) or deviation(stated.value, derived) <= RATIO:
        verdict = Verdict.AMBIGUOUS
    else:
        verdict = Verdict.CONTRADICTION
    return verdict, f"{shown(derived)} = {shown(top.value)}/{shown(bottom.value)}"
