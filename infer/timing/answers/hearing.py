"""The evidence of a bench: taken from the workers after the blocks, judged when all batches are
there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from portproof.infer.timing.answers.assess import Witnessed, assess, reference_of
from portproof.infer.timing.answers.judge import never_varies
from portproof.infer.timing.answers.tolerances import arithmetic
from portproof.infer.timing.answers.witness import Evidence
from portproof.infer.timing.processes.parent import ask
from portproof.infer.timing.subject import Subject
from portproof.measurement import Measurement

if TYPE_CHECKING:
    from portproof.infer.load_test.record import LoadRun
    from portproof.infer.timing.processes.teams import Team


class Hearing:
    """Of all subjects of a bench at all its batches."""

    def __init__(self, batches: Sequence[int]) -> None:
        self._batches = batches
        self._heard: dict[str, dict[int, Witnessed]] = {}
        self._reference: str | None = None

    def take(self, sides: Sequence[tuple[Subject, Team]], batch: int) -> None:
        """Ask the workers of each subject what they answered at a batch, one subject after the
        other. Those of a later start add what they answered to the inputs that are timed.
        """
        if len(sides[0][1].starts) > 1:
            for subject, team in sides:
                self._heard[subject.label][batch].workers += self._evidence(team, singles=False)
            return
        for subject, team in sides:
            singles = 1 not in self._batches and not self._has_singles(subject.label)
            evidence = self._evidence(team, singles)
            loaded = team.loaded[0]
            rounding = arithmetic(loaded.precision, loaded.device, loaded.provider)
            self._heard.setdefault(subject.label, {})[batch] = Witnessed(
                rounding, evidence, harness=not evidence
            )
        self._reference = reference_of(
            [
                (subject.label, subject.backend, team.loaded[0].precision)
                for subject, team in sides
                if not self._heard[subject.label][batch].harness
            ]
        )
        for subject, team in sides:
            self._question_again(subject, team, batch)

    @staticmethod
    def _evidence(team: Team, singles: bool) -> list[Evidence]:
        found: list[Evidence | None] = ask(team.workers, "evidence", singles)
        return [e for e in found if e is not None]

    def _question_again(self, subject: Subject, team: Team, batch: int) -> None:
        """A subject that nobody else vouches for and whose answers never vary may give its first
        answer to everything: it is loaded once more, and asked another input first.
        """
        witnessed = self._heard[subject.label][batch]
        alone = self._reference in (None, subject.label)
        if alone and not witnessed.harness and never_varies(witnessed.calls):
            witnessed.workers[0] = ask(team.workers[:1], "anew")[0]

    def _has_singles(self, label: str) -> bool:
        heard = self._heard.get(label, {}).values()
        return any(call.name == "single" for w in heard for call in w.calls)

    def settle(
        self, measurements: Sequence[Measurement | LoadRun], label: str | None = None
    ) -> None:
        """Write the verdicts into the measurements. ``label``: that of the only subject, where the
        measurements have others.
        """
        verdicts = assess(self._heard, self._reference)
        for measurement in measurements:
            measurement.answers = verdicts[label or measurement.label, measurement.batch]
