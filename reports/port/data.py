"""What a run directory says: everything that a report prints, with its file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.jsonfile import json_in
from portproof.measurement import Performance, read_performance
from portproof.metrics.evaluation.evaluate import Evaluation
from portproof.metrics.paired.compare import Comparison
from portproof.metrics.paired.task_figures import TaskComparison
from portproof.outcome import Outcomes, read_outcomes
from portproof.proof.lineage import Stage, read_stages
from portproof.rundir.gates import Judgement, judge
from portproof.rundir.layout import CLASSIFICATION, REFERENCE, RunDir, Side, open_run
from portproof.rundir.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True)
class RunData:
    """A run directory, read. What is not there is absent from the dictionaries, never zero.

    ``files``: its layout and settings. ``stages``: in the order in which they ran. ``results``:
    label -> batch -> accuracy rows ``{"Top1 accuracy": "98.57%"}`` of ``result.json``.
    ``comparisons``, ``performances`` and ``boards`` (several chips of a board timed together): by
    label; of those timed in one alternation, the measurement is under the first one's. A task other
    than classification has ``evaluations`` and ``task_comparisons`` in the place of ``results`` and
    ``comparisons``.
    """

    files: RunDir
    card: Card | None
    stages: list[Stage]
    results: dict[str, dict[int, dict[str, str]]]
    evaluations: dict[str, dict[int, Evaluation]]
    comparisons: dict[str, Comparison]
    task_comparisons: dict[str, TaskComparison]
    performances: dict[str, Performance]
    boards: dict[str, Performance]
    judgement: Judgement
    _worked_out: dict[Any, Any] = field(default_factory=dict, repr=False)

    @property
    def root(self) -> Path:
        """The folder."""
        return self.files.root

    @property
    def settings(self) -> Settings:
        """What the port was asked for."""
        return self.files.settings

    @property
    def labels(self) -> list[str]:
        """The reference, then the labels of the targets."""
        return [REFERENCE, *(side.label for side in self.files.compared)]

    def once(self, key: Any, work: Callable[[], T]) -> T:
        """What several reports need, worked out once."""
        if key not in self._worked_out:
            self._worked_out[key] = work()
        value: T = self._worked_out[key]
        return value

    def outcomes(self, label: str, batch: int) -> Outcomes | None:
        """The outcomes of an accuracy run, None if there is no table of them."""
        path = self.root / self.files.outcomes(self.files.side(label), batch)
        return self.once(path, lambda: read_outcomes(path) if path.is_file() else None)

    @property
    def model_name(self) -> str:
        """The card's name, or else what the port was started with."""
        return self.card.name if self.card else self.settings.model

    @property
    def simulated(self) -> bool:
        """Whether any stage was a rehearsal."""
        return any(s.proof.simulated for s in self.stages) or any(
            p.simulated for p in (self.performances | self.boards).values()
        )

    @property
    def cann(self) -> str | None:
        """The version of CANN on the host that converted or inferred; the last one counts."""
        return next(
            (
                s.proof.environment["cann"]
                for s in reversed(self.stages)
                if "cann" in s.proof.environment
            ),
            None,
        )

    @property
    def versions(self) -> dict[str, str]:
        """Versions of every package that any stage depended on; the last stage counts."""
        merged: dict[str, str] = {}
        for stage in self.stages:
            merged |= stage.proof.versions
        return dict(sorted(merged.items(), key=lambda item: item[0].lower()))

    @property
    def ready(self) -> dict[str, Any]:
        """The number of samples that were given ready, or encoded from texts or recordings, and
        their inputs in words; else empty.
        """
        prep = self.stage(self.files.prep)
        if prep is None or prep.proof.stage not in ("samples", "encode"):
            return {}
        inputs = [
            f"{name} ({dtype}, {' x '.join(map(str, shape))})"
            for name, dtype, shape in prep.proof.parameters["inputs"]
        ]
        return {
            "count": prep.proof.facts["samples"],
            "inputs": ", ".join(inputs),
            "encoded": prep.proof.stage == "encode",
        }

    @property
    def cards_read(self) -> set[str]:
        """SHA-256 of the model cards that the export read, or of several models the cards by which
        their outputs were put together.
        """
        readers = [s.proof for s in self.stages if s.proof.stage in ("export", "gather")]
        return {record.sha256 for proof in readers for record in proof.inputs.get("card", [])}

    def stage(self, artefact: str) -> Stage | None:
        """The stage that made an artefact."""
        return next((s for s in self.stages if s.artefact == artefact), None)

    def comparison_file(self, label: str) -> str:
        """The comparison of a target."""
        return self.files.comparison(self.files.side(label))

    def perf_file(self, label: str) -> str:
        """The measurement of a target."""
        return self.files.perf(self.files.side(label))

    def board_file(self, label: str) -> str:
        """The measurement of a board of a target."""
        return self.files.board(self.files.side(label))

    def accuracy_file(self, label: str, batch: int) -> str:
        """The figures of an accuracy run."""
        return self.files.accuracy(self.files.side(label), batch)


def read_run(run_dir: Path) -> RunData:
    """Read a run directory; :class:`InputError` if it is not one, or a file is damaged."""
    run = open_run(run_dir)
    sides = (Side(REFERENCE), *run.compared)
    classes = run.settings.task == CLASSIFICATION
    compared = run.compared if classes else ()
    by_task = () if classes else run.compared
    return RunData(
        files=run,
        card=card_of(run),
        stages=read_stages(run_dir),
        results={side.label: _results(run, side, _rows) for side in sides} if classes else {},
        evaluations={}
        if classes
        else {side.label: _results(run, side, _evaluation) for side in sides},
        comparisons=_there(run, compared, run.comparison, read_comparison),
        task_comparisons=_there(run, by_task, run.comparison, _task_comparison),
        performances=_there(run, run.benched, run.perf, read_performance),
        boards=_there(run, run.timed, run.board, read_performance),
        judgement=judge(run),
    )


def _there(
    run: RunDir, sides: Iterable[Side], name: Callable[[Side], str], read: Callable[[Path], T]
) -> dict[str, T]:
    """What can be read of each side, by label."""
    paths = {side.label: run.root / name(side) for side in sides}
    return {label: read(path) for label, path in paths.items() if path.is_file()}


def card_file(model: str) -> Path | None:
    """The card's file on this host; None for a card that only its builder's package can make (a
    report must not need that package).
    """
    if ":" in model:
        return None
    try:
        path = find_card(model)
    except InputError:
        return None
    return path if path.is_file() else None


def card_of(run: RunDir) -> Card | None:
    """The card: the run directory's copy, else the file of the port, else None."""
    copy = run.root / run.card_copy
    path = copy if copy.is_file() else card_file(run.settings.model)
    return read_card(path) if path else None


def _results(run: RunDir, side: Side, read: Callable[[Path], T]) -> dict[int, T]:
    """The accuracy figures of a side, by batch."""
    paths = {batch: run.root / run.accuracy(side, batch) for batch in run.accuracy_batches}
    return {batch: read(path) for batch, path in paths.items() if path.is_file()}


def _evaluation(path: Path) -> Evaluation:
    return _record(path, Evaluation)


def _task_comparison(path: Path) -> TaskComparison:
    return _record(path, TaskComparison)


def _rows(path: Path) -> dict[str, str]:
    try:
        return {str(row["key"]): str(row["value"]) for row in decode(path).get("value") or []}
    except (KeyError, TypeError):
        raise InputError(
            f"'{path}' is damaged (a row without 'key' or 'value'); delete it and run the port"
            " again"
        ) from None


def read_comparison(path: Path) -> Comparison:
    """A ``compare.json``; :class:`InputError` when it is damaged."""
    return _record(path, Comparison)


def _record(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.convert(json_in(read_file(path, "figures")), kind)
    except (ValueError, msgspec.ValidationError) as error:
        raise InputError(
            f"'{path}' is damaged ({error}); delete it and run the port again"
        ) from error


def decode(path: Path) -> dict[str, Any]:
    """A JSON object from a file; :class:`InputError` names a file that is damaged."""
    return _record(path, dict[str, Any])
