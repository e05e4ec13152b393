"""What a verification finds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """Something about a file (relative to the run directory; outside it, absolute) or a figure in
    it.

    ``changed``: it is not what it was, or not what the files below it give. ``unverified``: a
    report that this version does not make so. ``not derived``: nobody can say, and why.
    """

    kind: Literal["changed", "unverified", "not derived"]
    file: str
    what: str


def changed(file: str, what: str) -> Finding:
    """A change."""
    return Finding("changed", file, what)


def unverified(file: str, what: str) -> Finding:
    """A report of other versions, which cannot be made again here."""
    return Finding("unverified", file, what)


def not_derived(file: str, what: str) -> Finding:
    """Something that cannot be derived again here."""
    return Finding("not derived", file, what)


def differences(
    file: str, stated: Any, derived: Any, place: str = "", rounding: float = 0.0
) -> Iterator[Finding]:
    """Where two JSON values differ, by place; numbers must be equal to the last digit, unless they
    are sums whose order a processor decides: then ``rounding`` is what they may differ by, as a
    share of the larger.
    """
    if isinstance(stated, dict) and isinstance(derived, dict):
        for key in dict.fromkeys([*derived, *stated]):
            if key not in derived:  # also where its value is null
                yield changed(
                    file, f"{place or 'it'} has {_short(key)}, the files below it have not"
                )
                continue
            yield from differences(
                file, stated.get(key), derived.get(key), f"{place}.{key}".lstrip("."), rounding
            )
    elif isinstance(stated, list) and isinstance(derived, list) and len(stated) == len(derived):
        for index, (one, other) in enumerate(zip(stated, derived, strict=True)):
            yield from differences(file, one, other, f"{place}[{index}]", rounding)
    elif _equal_but_for(rounding, stated, derived):
        return
    elif stated != derived or type(stated) is not type(derived):
        yield changed(
            file,
            f"{place or 'it'} says {_short(stated)}, the files below it give {_short(derived)}",
        )


def _equal_but_for(rounding: float, stated: Any, derived: Any) -> bool:
    numbers = isinstance(stated, float) and isinstance(derived, float)
    return numbers and math.isclose(stated, derived, rel_tol=rounding, abs_tol=rounding)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
