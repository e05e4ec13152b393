"""What came out of a run against a baseline: its file, its lines for people, and JUnit XML."""

from __future__ import annotations

from pathlib import Path

import msgspec

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED
from portproof.core.files import write_bytes, write_text
from portproof.core.text import listed
from portproof.reports.port.junit import junit_of
from portproof.rundir.gates import Gate, worst
from portproof.verdict import Verdict

FOLDER, FILE, JUNIT = "against", "against.json", "junit.xml"


class Change(msgspec.Struct, frozen=True):
    """A version that is not the baseline's; None: it has none."""

    name: str
    before: str | None
    now: str | None

    @property
    def text(self) -> str:
        """For people."""
        return f"{self.name} {self.before or 'absent'} -> {self.now or 'absent'}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A run against a baseline. ``gates``: label, question, verdict, reason."""

    schema: str = "portproof.against/1"
    model: str
    baseline_made: str
    gates: list[Gate]
    changes: list[Change]
    simulated: bool

    @property
    def exit_code(self) -> int:
        """The worst of the gates."""
        known = [g.verdict for g in self.gates]
        return worst([EXIT_UNDECIDED if v is None else v.exit_code for v in known])

    @property
    def word(self) -> str:
        """The verdict in a word."""
        return {EXIT_DONE: "PASS", EXIT_FAIL: "FAIL"}.get(self.exit_code, "UNDECIDED")

    @property
    def text(self) -> str:
        """The gates, the changed versions and the verdict."""
        rows = [
            ("", "", "", ""),
            *((g.label, g.name, g.verdict or "not judged", g.reason) for g in self.gates),
        ]
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        lines = [
            "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[3]])
            for row in rows[1:]
        ]
        changed = [f"changed: {c.text}" for c in self.changes] or ["no version changed"]
        mark = ["REHEARSAL: simulated, nothing was measured"] if self.simulated else []
        return "\n".join([*mark, *lines, *changed, f"against the baseline: {self.word}"])

    @property
    def line(self) -> str:
        """One line for a chat."""
        mark = "REHEARSAL " if self.simulated else ""
        asked = [g for g in self.gates if g.verdict is not Verdict.PASS]
        why = "; ".join(f"{g.label} {g.name} {g.verdict}: {g.reason}" for g in asked)
        changed = listed([c.text for c in self.changes]) or "no version changed"
        head = f"{mark}{self.word} {self.model} against the baseline of {self.baseline_made[:10]}"
        return f"{head}: {why or 'the same accuracy, speed and steps'} ({changed})"


def write_judged(judged: Judged, run_dir: Path) -> None:
    """Write ``against/against.json`` and ``against/junit.xml`` into a run directory."""
    folder = run_dir / FOLDER
    write_bytes(folder / FILE, msgspec.json.format(msgspec.json.encode(judged)) + b"\n")
    name = f"{judged.model} against {judged.baseline_made}"
    write_text(folder / JUNIT, junit_of(judged.gates, name, judged.simulated))
