"""Levenshtein's distance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """The least number of insertions, deletions and substitutions that make ``other`` of ``one``.

    Bit-parallel, a column of the table in one whole number (Hyyrö 2003, after Myers 1999).

    >>> edit_distance("kitten", "sitting"), edit_distance(["a", "b"], [])
    (3, 2)
    """
    if not one:
        return len(other)
    places: dict[Hashable, int] = {}
    for at, item in enumerate(one):
        places[item] = places.get(item, 0) | 1 << at
    whole = (1 << len(one)) - 1
    last = 1 << (len(one) - 1)
    plus, minus, distance = whole, 0, len(one)
    for item in other:
        match = places.get(item, 0)
        diagonal = ((((match & plus) + plus) ^ plus) | match | minus) & whole
        rises = minus | ~(diagonal | plus)
        falls = plus & diagonal
        distance += bool(rises & last) - bool(falls & last)
        rises = (rises << 1) | 1
        plus = ((falls << 1) | ~(diagonal | rises)) & whole
        minus = rises & diagonal & whole
    return distance
