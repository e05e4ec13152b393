"""What an audit says about one document."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Agreement(Enum):
    """Whether a stated figure is the one that follows."""

    AGREES = "agrees"
    CONTRADICTION = "contradiction"
    AMBIGUOUS = "ambiguous"


def graded(agrees: bool, close: bool) -> Agreement:
    """The agreement of a figure; one that is only ``close`` may be right by another reading."""
    if agrees:
        return Agreement.AGREES
    return Agreement.AMBIGUOUS if close else Agreement.CONTRADICTION


@dataclass(frozen=True)
class Checked:
    """One stated figure, re-derived. ``line`` and ``from_line`` count from 1; ``from_line`` is None
    when the line itself shows the source.
    """

    verdict: Agreement
    kind: str
    line: int
    stated: str
    derived: str
    from_line: int | None = None

    def as_record(self) -> dict[str, Any]:
        """The object of the JSON output."""
        return {
            "kind": self.kind,
            "line": self.line,
            "stated": self.stated,
            "derived": self.derived,
            "from_line": self.from_line,
        }


@dataclass(frozen=True)
class Unchecked:
    """Something stated that the document itself gives no means to check."""

    line: int
    why: str


Answer = Checked | Unchecked


@dataclass
class Audit:
    """All that was found in one document; ``checked`` counts the stated figures that could be
    re-derived, agreeing ones included. ``tables_not_read`` counts the tables with figures of which
    none was checked.
    """

    document: str
    checked: int = 0
    contradictions: list[Checked] = field(default_factory=list)
    ambiguous: list[Checked] = field(default_factory=list)
    unchecked: list[Unchecked] = field(default_factory=list)
    tables_not_read: int = 0
    _seen: set[Answer] = field(default_factory=set, repr=False)

    def add(self, outcome: Answer) -> None:
        """Sort one outcome into its list, once."""
        if outcome in self._seen:
            return
        self._seen.add(outcome)
        if isinstance(outcome, Unchecked):
            self.unchecked.append(outcome)
            return
        self.checked += 1
        target = {
            Agreement.CONTRADICTION: self.contradictions,
            Agreement.AMBIGUOUS: self.ambiguous,
        }.get(outcome.verdict)
        if target is not None:
            target.append(outcome)

    def lines_checked(self) -> set[int]:
        """The lines of the figures that could be re-derived, and of what they follow from."""
        found = [outcome for outcome in self._seen if isinstance(outcome, Checked)]
        return {f.line for f in found} | {f.from_line for f in found if f.from_line}

    def in_order(self) -> Iterator[Checked]:
        """Contradictions, then the ambiguous ones, each by line."""
        yield from sorted(self.contradictions, key=lambda f: f.line)
        yield from sorted(self.ambiguous, key=lambda f: f.line)

    def as_record(self) -> dict[str, Any]:
        """The object of the JSON output."""
        return {
            "document": self.document,
            "checked": self.checked,
            "contradictions": [
                f.as_record() for f in sorted(self.contradictions, key=lambda f: f.line)
            ],
            "ambiguous": [f.as_record() for f in sorted(self.ambiguous, key=lambda f: f.line)],
            "unchecked": [
                {"line": u.line, "why": u.why} for u in sorted(self.unchecked, key=lambda u: u.line)
            ],
        }
