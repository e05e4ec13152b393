"""Which faults a search begins with."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.metrics.diagnosis.candidates import (
    ALIKE,
    PARTLY,
    Candidate,
    Found,
    best_of,
    is_noise,
    is_quiet,
    left_by,
)
from portproof.metrics.diagnosis.steps.explanations import Round

#: First faults that are followed, and others of the name of one.
FIRSTS, _RIVALS = 3, 2


def firsts(none: Candidate, others: list[Found]) -> Iterator[Found]:
    """The faults to begin with, likeliest first: one of each name."""
    best = best_of(none, others)
    seen = set()
    if best:
        seen.add(best.candidate.fault)
        yield best
    sound = [f for f in others if f.candidate.fault != "softmax"]
    noise = is_noise(none)
    fit = [f for f in sound if f.sure or (not noise and left_by(f, none) <= PARTLY)]
    # Much inside a model comes near to a small shift of all values.
    count = FIRSTS * (2 if is_quiet(none) else 1)
    for f in sorted(fit, key=lambda f: (not f.sure, left_by(f, none))):
        if f.candidate.fault not in seen and len(seen) < count:
            seen.add(f.candidate.fault)
            yield f


def of_each_name(found: list[Found]) -> list[Found]:
    """The likeliest of each name, as many as are followed; ``found``: likeliest first."""
    first: dict[str, Found] = {}
    for each in found:
        first.setdefault(each.candidate.fault, each)
    return list(first.values())[:FIRSTS]


def rivals(begun: Round, first: Found) -> list[Found]:
    """Changes of the model of a first fault's name that fit about as well: what follows may fit
    with one of them only.
    """
    most = ALIKE * left_by(first, begun.none)
    found = sorted(begun.others, key=lambda f: left_by(f, begun.none))
    return [
        f for f in found
        if f is not first and f.changed and f.candidate.fault == first.candidate.fault
        and left_by(f, begun.none) <= most
    ][:_RIVALS]  # fmt: skip
