"""Worked arithmetic in prose: ``263.872x4=1055.488``, ``2013.05>1298.24*1.2``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed

_TOKEN = re.compile(
    rf"\s*(?:({NUMBER})(?:\s?(?:fps|FPS|qps)(?![A-Za-z]))?|([-+*/()])|([xX])(?=\s*[\d(])|([=<>]+))"
)
_OPERATOR = re.compile(r"[*/=<>+]|\d\s?[xX]\s?[\d(]")
_UNIT = re.compile(r"\d\s?(?:fps|qps)", re.IGNORECASE)
#: What is compared for a batch is a rate, without its unit too.
_OF_A_BATCH = re.compile(
    r"(?:batch|bs)_?(?:size)?\s?=?\s?\d{1,4}\s?[:,]\s?\d{1,9}\.\d{1,9}\s?[<>]\s?\d{1,9}\.\d",
    re.IGNORECASE,
)
_COMPARED_DEVICE = re.compile(
    r"(?<=[<>])\s?(?:T4|310P?|710|GPU|NPU)\s?:?(?=\s?\d{1,9}(?:\.\d|fps))", re.IGNORECASE
)
_START = re.compile(r"[\d(]")
#: A number that continues a word, a path, a version or a date is not an operand.
_GLUED = re.compile(r"[A-Za-z0-9_.\-/\\]")
_MOST_TOKENS = 60


@dataclass(frozen=True)
class Term:
    """One side of a worked equation. ``factors`` holds (figure, +1 or -1) when the side is a plain
    product, else nothing.
    """

    text: str
    value: float
    slack: float
    factors: tuple[tuple[Printed, int], ...]

    @property
    def is_worked(self) -> bool:
        """Whether the side is arithmetic and not a lone number."""
        return len(self.factors) != 1

    @property
    def figure(self) -> Printed | None:
        """The figure, when the side is a lone number."""
        return None if self.is_worked else self.factors[0][0]


@dataclass(frozen=True)
class Worked:
    """Sides joined by ``=``, ``<`` or ``>`` (``relations`` has one entry fewer); ``start`` and
    ``end`` are positions in the line.
    """

    sides: tuple[Term, ...]
    relations: tuple[str, ...]
    start: int
    end: int


class _Unreadable(ValueError):
    """The tokens are no arithmetic."""


def worked_in(text: str) -> Iterator[Worked]:
    """All worked arithmetic in a line, from left to right: whatever holds at least one operation.

    >>> [w.sides[0].value for w in worked_in("263.872x4=1055.488既是batch1")]
    [1055.488]
    """
    if not _OPERATOR.search(text):
        return
    # "310 48.2fps > T4 42.2fps": the device between the sign and its figure is no operand.
    text = _COMPARED_DEVICE.sub(lambda name: " " * len(name[0]), text)
    position = 0
    while start := _START.search(text, position):
        position = start.start()
        tokens, end = _run(text, position)
        if not (position and _GLUED.match(text[position - 1])):
            rates = _UNIT.search(text, position, end) is not None or _OF_A_BATCH.search(text)
            worked = _read(tokens, position, end, bool(rates))
            if worked:
                yield worked
        position = max(end, position + 1)


def _run(text: str, position: int) -> tuple[list[str], int]:
    """The longest run of arithmetic tokens from a position; two numbers in a row end it, and so
    does a minus sign (a range, a date).
    """
    tokens: list[str] = []
    end = position
    while len(tokens) < _MOST_TOKENS and (match := _TOKEN.match(text, end)):
        number, operator, times, relation = match.groups()
        if operator == "-" or (number and tokens and _is_number(tokens[-1])):
            break
        tokens.append(number or operator or ("*" if times else relation))
        end = match.end()
    return tokens, end


def _is_number(token: str) -> bool:
    return token[0].isdigit()


def _read(tokens: list[str], start: int, end: int, units: bool) -> Worked | None:
    """The run as sides and relations. Lone numbers count only with units of throughput."""
    groups: list[list[str]] = [[]]
    relations: list[str] = []
    for token in tokens:
        if token[0] in "=<>":
            relations.append("=" if token == "==" else token[0])
            groups.append([])
        else:
            groups[-1].append(token)
    sides = []
    for group in groups:
        try:
            sides.append(_side(group))
        except (_Unreadable, ZeroDivisionError, OverflowError):
            break
    if not sides or not (
        any(side.is_worked for side in sides) or (units and len(sides) > 1 and relations[0] in "<>")
    ):
        return None
    return Worked(tuple(sides), tuple(relations[: len(sides) - 1]), start, end)


def _side(tokens: list[str]) -> Term:
    while tokens and tokens[-1] in "+*/(":
        # "247.898x4 即", "1000/(2.1/1)( 注": an operator that leads nowhere belongs to the prose.
        if tokens[-1] != "(":
            raise _Unreadable
        tokens = tokens[:-1]
    if not tokens:
        raise _Unreadable
    value, slack, factors, rest = _sum(tokens)
    if rest:
        raise _Unreadable
    return Term("".join(tokens), value, slack, tuple(factors))


_Part = tuple[float, float, list[tuple[Printed, int]], list[str]]


def _sum(tokens: list[str]) -> _Part:
    value, slack, factors, rest = _product(tokens)
    while rest and rest[0] == "+":
        other, other_slack, _, rest = _product(rest[1:])
        value, slack, factors = value + other, max(slack, other_slack), []
    return value, slack, factors, rest


def _product(tokens: list[str]) -> _Part:
    value, slack, factors, rest = _atom(tokens)
    plain = bool(factors)
    while rest and rest[0] in "*/":
        sign = 1 if rest[0] == "*" else -1
        other, other_slack, more, rest = _atom(rest[1:])
        value = value * other if sign > 0 else value / other
        slack += other_slack
        plain = plain and bool(more)
        factors = factors + [(f, sign * power) for f, power in more]
    return value, slack, factors if plain else [], rest


def _atom(tokens: list[str]) -> _Part:
    if not tokens:
        raise _Unreadable
    head, rest = tokens[0], tokens[1:]
    if head == "(":
        value, slack, factors, rest = _sum(rest)
        if not rest or rest[0] != ")":
            raise _Unreadable
        return value, slack, factors, rest[1:]
    if not _is_number(head):
        raise _Unreadable
    read = as_printed(head)
    return read.value, read.slack, [(read, 1)], rest
