"""Ratios and thresholds claimed in prose: ``310P性能达到了310的1.339倍``,
``均高于T4性能1.2倍``, "1.3 times".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from portproof.reports.claims.agreement import Agreement, Answer, Checked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.known_rates import (
    BEST,
    Rate,
    common_batches,
    devices_named,
    rates,
)
from portproof.reports.claims.read.context import batches_in, device_in, devices_in
from portproof.reports.claims.read.printed import (
    NUMBER,
    RATIO,
    Printed,
    as_printed,
    deviation,
    same,
    shown,
)

_TIMES = re.compile(rf"(?<![\d.])({NUMBER})\s?(?:倍|times\b|x(?![\w])|×(?!\s?\d))")
_CLAUSE = re.compile(r"[,;。]|\.(?=\s|$)")
_SENTENCE = re.compile(r"[;。]|\.(?=\s|$)")
_IN_BRACKETS = re.compile(r"\([^()]*\)")
_RULE = re.compile(
    r"要求|如果|若|(?<![响对相])应(?!用)|(?<![无不])需|标准|目标"
    r"|should|must|\bif\b|target|require|at least|threshold"
)
_BRACKET_AFTER = re.compile(r"\s?\([^()]{1,30}\)")
_RULE_MET = re.compile(
    r"(?:满足|符合|达到|通过)[^,;。]{0,40}?(?:要求|标准|目标)"
    r"|(?:target|requirement)[^,;。]{0,60}? (?:is|are|was|were) (?:met|reached)"
)
_WHEN = re.compile(r"[^,;。]{0,8}时")
_NEGATED = re.compile(r"未|没有|不到|不足|不能|无法")
_MORE = re.compile(r"高于|大于|超过|超|以上|不低于|达到|满足|>|均|exceed|more than|over")
_BEST_WORD = re.compile(r"最优|最佳|最高|best", re.IGNORECASE)
_GOES_ON = re.compile(r"\s*(?:且|并|约|但|也|仅|还|同时)?(?:是|为|达|高于|大于|超过|and\b|which\b)")
_COMPARED = re.compile(r"相比|相较|对比|比较|compared|versus|\bvs\b", re.IGNORECASE)
_IS_TIMES = re.compile(r"(?:是|为|达到了?|相当于)[^,;。]{0,24}的\s?约?$")
_VARIANT = re.compile(r"aoe|tune|优化|调优", re.IGNORECASE)
_SPEED = re.compile(r"性能|吞吐|fps|快|throughput|performance|fast", re.IGNORECASE)
_OTHER_SUBJECT = re.compile(
    r"同类|其他模型|其它模型|时延|耗时|latency|功耗|内存|显存", re.IGNORECASE
)

#: A multiple that is called exceeded is rounded up by no more than this.
_NEARLY = 0.97

_SEVERITY = [Agreement.AGREES, Agreement.AMBIGUOUS, Agreement.CONTRADICTION]


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every "N times" in a line of prose that names two devices."""
    for number, line in enumerate(facts.document.lines):
        if "|" in facts.document.raw[number] or len(line) > 400:
            continue
        text = _IN_BRACKETS.sub(lambda bracket: _CLAUSE.sub(" ", bracket[0]), line)
        for match in _TIMES.finditer(text):
            if not _is_rule(text, match):
                yield from _claim(facts, number, text, match)


def _is_rule(text: str, match: re.Match[str]) -> bool:
    """Whether the number is what a rule asks for and not what was reached."""
    start = max((m.end() for m in _SENTENCE.finditer(text, 0, match.start())), default=0)
    before, after = text[start : match.start()], _CLAUSE.split(text[match.end() :], maxsplit=1)[0]
    if "当" in before and _WHEN.match(after):
        return True
    if _says_met(before, match, after):
        return False
    return bool(_RULE.search(_RULE_MET.sub("", before)) or _RULE.search(after))


def _says_met(before: str, match: re.Match[str], after: str) -> bool:
    """Whether the number is part of "the requirement of N times is met"."""
    return any(
        met.start() <= len(before) < met.end()
        for met in _RULE_MET.finditer(before + match[0] + after)
    )


def _claim(facts: DocumentFacts, number: int, line: str, match: re.Match[str]) -> Iterator[Answer]:
    start = max((m.end() for m in _CLAUSE.finditer(line, 0, match.start())), default=0)
    clause = line[start : match.start()]
    after = _CLAUSE.split(line[match.end() :], maxsplit=1)[0]
    named = _operands(facts, line, start, match)
    if len(named) != 2 or _NEGATED.search(clause) or _OTHER_SUBJECT.search(clause):
        return
    tuned = bool(_VARIANT.search(line))
    if tuned and not any(column.variant for table in facts.tables for column in table.rates):
        # Figures from before and after tuning cannot be distinguished where no table has both.
        return
    stated = as_printed(match[1])
    bound = (
        bool(
            _MORE.search(clause)
            or _says_met(clause, match, after)
            or after.startswith(("以上", "及以上"))
        )
        and stated.digits <= 3
        and (stated.digits <= 2 or stated.ulp >= 0.1)
    )
    for choices in _choices(facts, line, start, match, named):
        pairs = [pair for batch in choices for pair in _pairs(facts, named, batch, number)]
        # "Compared with T4, 310P reaches N times": the order of the words does not show what is
        # divided by what.
        if not _is_directed(line, start, match, named):
            pairs += [(bottom, top) for top, bottom in pairs]
        findings = [
            Checked(
                verdict, "policy" if bound else "ratio", number + 1, match[0], derived, top.line + 1
            )
            for top, bottom in pairs
            if bottom.value and top.value
            for verdict, derived in [_judge(stated, bound, top, bottom)]
        ]
        yield from sorted(findings, key=lambda finding: _SEVERITY.index(finding.verdict))[:1]


def _is_directed(line: str, start: int, match: re.Match[str], named: list[str]) -> bool:
    """Whether the words say what is divided by what: "A reaches N times B", "A 是 B 的 N 倍"."""
    if _COMPARED.search(line):
        return False
    if not match[0].endswith("倍"):
        after = _CLAUSE.split(line[match.end() :], maxsplit=1)[0]
        return device_in(after) == named[1] and named[0] in devices_in(line[: match.start()])
    clause = line[start : match.start()]
    return bool(_IS_TIMES.search(clause)) and devices_in(clause) == named


def _operands(facts: DocumentFacts, line: str, start: int, match: re.Match[str]) -> list[str]:
    """The device that is compared and the one that it is compared with."""
    if not match[0].endswith("倍"):
        after = _CLAUSE.split(line[match.end() :], maxsplit=1)[0]
        # English names the divisor after the number: "the 310P reaches 2.6 times the T4".
        divisor = devices_named(facts, _TIMES.split(after, maxsplit=1)[0])[:1]
        if divisor:
            subject = [
                name for name in devices_named(facts, line[: match.start()]) if name != divisor[0]
            ]
            return subject[:1] + divisor
    clause = line[start : match.start()]
    named = devices_named(facts, clause)
    if len(named) == 3 and _TIMES.search(clause):
        # "310P reaches N times 310 and M times T4": one subject for both.
        named = [named[0], named[2]]
    elif not named and start and (_GOES_ON.match(clause) or batches_in(clause)):
        # "..., more than 1.6 times": the same two as in the clause before.
        named = devices_named(facts, _CLAUSE.split(line[: start - 1])[-1])
    faster = line.startswith(("faster", " faster"), match.end())
    if len(named) == 1 and (
        faster
        or _GOES_ON.match(clause)
        or _COMPARED.search(line, 0, start)
        or _TIMES.search(line, 0, start)
    ):
        # "..., and reaches 2.036 times T4": the subject is in the clause before.
        before = [name for name in devices_named(facts, line[:start]) if name != named[0]]
        named = before[:1] + named
    return named


def _choices(
    facts: DocumentFacts, line: str, start: int, match: re.Match[str], named: list[str]
) -> list[list[int | None]]:
    """The batches that the claim is about. Each entry is one claim, and holds the batches that it
    may mean (BEST: each device's best).
    """
    clause = line[start : match.start()]
    bracket = _BRACKET_AFTER.match(line, match.end())
    own = (batches_in(bracket[0]) if bracket else []) or batches_in(clause)
    if _BEST_WORD.search(clause):
        return [[BEST, *own]]
    if own:
        return [[batch] for batch in own]
    if _BEST_WORD.search(line):
        return [[BEST]]
    for earlier in reversed(_CLAUSE.split(line[:start])):
        if batches := batches_in(earlier):
            return [[batch] for batch in batches]
    # No batch is named: what no batch and no best shows is refuted whichever is meant.
    return [[BEST, *common_batches(facts, named)]] if _SPEED.search(line) else []


def _pairs(
    facts: DocumentFacts, named: list[str], batch: int | None, number: int
) -> list[tuple[Rate, Rate]]:
    tops, bottoms = (rates(facts, device, batch, number) for device in named)
    return [(top, bottom) for top in tops for bottom in bottoms]


def _judge(stated: Printed, bound: bool, top: Rate, bottom: Rate) -> tuple[Agreement, str]:
    """The verdict on a stated quotient, and the derived one; a ``bound`` may be exceeded."""
    derived, slack = top.value / bottom.value, top.slack + bottom.slack
    coarse = stated.digits <= 2 and stated.value < derived <= 1.15 * stated.value
    if bound:
        agrees, close = derived >= stated.value * (1 - slack), derived >= _NEARLY * stated.value
    else:
        agrees = same(stated, derived, slack)
        close = (
            coarse or same(stated, derived - 1, slack) or deviation(stated.value, derived) <= RATIO
        )
    verdict = graded(agrees, close)
    return verdict, f"{shown(derived)} = {shown(top.value)}/{shown(bottom.value)}"
