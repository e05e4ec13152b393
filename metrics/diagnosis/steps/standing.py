"""What holds of faults that were found one after the other."""

from __future__ import annotations

from portproof.metrics.diagnosis.candidates import BETTER, Candidate, Found, left_by


def sure_of(chain: list[Found], none: Candidate) -> list[Found]:
    """The faults of a chain that stand without the rest: orders and copies that fit most rows, and
    what the port's outputs alone show.
    """
    sure = []
    for found in chain:
        if not found.sure and not (_of_order(found) and left_by(found, none) <= BETTER):
            break
        sure.append(found)
    return sure


def stands(chain: list[Found]) -> bool:
    """Whether what the first fault stands with was found as well."""
    if chain[0].besides == "order":
        return any(_of_order(f) for f in chain[1:])
    return len(chain) > 1 or not chain[0].besides


def _of_order(found: Found) -> bool:
    return any(part is not None for part in (found.there, found.columns, found.undone))
