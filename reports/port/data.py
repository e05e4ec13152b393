"""What a run directory says: everything that a report prints, each with the file that it was read
from.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.card import Card, find_card, read_card
from portproof.core.errors import InputError
from portproof.measurement import Performance, read_performance
from portproof.metrics.paired.compare import Comparison
from portproof.proof.lineage import Stage, read_stages
from portproof.rundir.gates import Judgement, judge
from portproof.rundir.plan import REFERENCE, accuracy_batch, label_of, timed_labels
from portproof.rundir.settings import Settings, read_settings

#: The model card as it was when the report was written, so that a copied run directory is whole
#: without it.
CARD_COPY = "report/card.yaml"


@dataclass(frozen=True)
class RunData:
    """A run directory, read. What is not there is absent from the dictionaries, never zero.

    ``stages``: in the order in which they ran. ``results``: label -> batch -> accuracy rows
    ``{"Top1 accuracy": "98.57%"}`` of ``result.json``. ``comparisons``, ``performances`` and
    ``cards`` (several chips of a card timed together): by label.
    """

    root: Path
    settings: Settings
    card: Card | None
    stages: list[Stage]
    results: dict[str, dict[int, dict[str, str]]]
    comparisons: dict[str, Comparison]
    performances: dict[str, Performance]
    cards: dict[str, Performance]
    judgement: Judgement

    @property
    def targets(self) -> list[str]:
        """The labels of the targets."""
        return [label_of(t) for t in self.settings.targets]

    @property
    def labels(self) -> list[str]:
        """The reference, then the labels of the targets."""
        return [REFERENCE, *self.targets]

    @property
    def model_name(self) -> str:
        """The card's name, or else what the port was started with."""
        return self.card.name if self.card else self.settings.model

    @property
    def simulated(self) -> bool:
        """Whether any stage was a rehearsal."""
        return any(s.proof.simulated for s in self.stages) or any(
            p.simulated for p in (self.performances | self.cards).values()
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
        """Versions of every package that any stage depended on; the stages of one run agree, or the
        last one counts.
        """
        merged: dict[str, str] = {}
        for stage in self.stages:
            merged |= stage.proof.versions
        return dict(sorted(merged.items(), key=lambda item: item[0].lower()))

    def stage(self, artefact: str) -> Stage | None:
        """The stage that made an artefact."""
        return next((s for s in self.stages if s.artefact == artefact), None)

    def comparison_file(self, label: str) -> str:
        """Where a target's comparison stands, relative to the run directory."""
        return comparison_file(label, self.targets)

    def accuracy_folder(self, label: str) -> str:
        """Where the accuracy run of a label stands, relative to the run directory."""
        return f"{label}/bs{accuracy_batch(self.settings.batches)}"


def read_run(run_dir: Path) -> RunData:
    """Read a run directory; :class:`InputError` when it is none, or when a file in it is
    damaged.
    """
    settings = read_settings(run_dir)
    labels = [label_of(t) for t in settings.targets]
    compared = {label: run_dir / comparison_file(label, labels) for label in labels}
    timed = [label for target in settings.targets for label in timed_labels(settings, target)]
    measured = {label: run_dir / label / "perf.json" for label in timed}
    together = {label: run_dir / label / "card.json" for label in timed}
    return RunData(
        root=run_dir,
        settings=settings,
        card=card_of(run_dir, settings.model),
        stages=read_stages(run_dir),
        results={label: read_results(run_dir / label) for label in (REFERENCE, *labels)},
        comparisons={
            label: read_comparison(path) for label, path in compared.items() if path.is_file()
        },
        performances={
            label: read_performance(path) for label, path in measured.items() if path.is_file()
        },
        cards={label: read_performance(path) for label, path in together.items() if path.is_file()},
        judgement=judge(run_dir, settings),
    )


def comparison_file(label: str, targets: list[str]) -> str:
    """Where a target's comparison stands, relative to the run directory: the first target's at its
    top.
    """
    return "compare.json" if label == targets[0] else f"{label}/compare.json"


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


def card_of(run_dir: Path, model: str) -> Card | None:
    """The card: the run directory's own copy, else the file that the port was started with, else
    None.
    """
    copy = run_dir / CARD_COPY
    path = copy if copy.is_file() else card_file(model)
    return read_card(path) if path else None


def read_results(folder: Path) -> dict[int, dict[str, str]]:
    """The accuracy rows of ``<label>/bs<N>/result.json``, by N."""
    found = {}
    for path in sorted(folder.glob("bs*/result.json")):
        number = path.parent.name.removeprefix("bs")
        if number.isdigit():
            rows = decode(path).get("value")
            try:
                found[int(number)] = {str(row["key"]): str(row["value"]) for row in rows or []}
            except (KeyError, TypeError):
                raise InputError(
                    f"'{path}' is damaged (a row without 'key' or 'value'); delete it and run the"
                    " port again"
                ) from None
    return dict(sorted(found.items()))


def read_comparison(path: Path) -> Comparison:
    """A ``compare.json``; :class:`InputError` when it is damaged."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Comparison)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{path}' is damaged ({error}); delete it and run the port again"
        ) from error


def decode(path: Path) -> dict[str, Any]:
    """A JSON object from a file; :class:`InputError` names a file that is damaged."""
    try:
        value: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{path}' is damaged ({error}); delete it and run the port again"
        ) from error
    return value
