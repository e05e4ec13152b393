"""What a run directory says: everything that a report prints, each with the file that it was read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.card import Card, find_card, read_card
from portproof.errors import InputError
from portproof.judgement import Judgement, judge
from portproof.measurement import Performance, read_performance
from portproof.plan import REFERENCE, accuracy_batch, label_of
from portproof.provenance import SUFFIX, Proof, read_proof
from portproof.settings import Settings, read_settings


@dataclass(frozen=True)
class Stage:
    """A finished stage: its artefact (relative to the run directory) and its sidecar."""

    artefact: str
    proof: Proof


@dataclass(frozen=True)
class RunData:
    """A run directory, read. What is not there is absent from the dictionaries, never zero.

    ``stages``: in the order in which they ran. ``results``: label -> batch -> accuracy rows ``{"Top1 accuracy": "98.57%"}`` of
    ``result.json``. ``comparisons`` and ``performances``: by label.
    """

    root: Path
    settings: Settings
    card: Card | None
    stages: list[Stage]
    results: dict[str, dict[int, dict[str, str]]]
    comparisons: dict[str, dict[str, Any]]
    performances: dict[str, Performance]
    judgement: Judgement

    @property
    def labels(self) -> list[str]:
        """The reference, then the labels of the targets."""
        return [REFERENCE, *(label_of(t) for t in self.settings.targets)]

    def stage(self, artefact: str) -> Stage | None:
        """The stage that made an artefact."""
        return next((s for s in self.stages if s.artefact == artefact), None)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of every package that any stage depended on; the stages of one run agree, or the last one counts."""
        merged: dict[str, str] = {}
        for stage in self.stages:
            merged |= stage.proof.versions
        return dict(sorted(merged.items(), key=lambda item: item[0].lower()))


def read_run(run_dir: Path) -> RunData:
    """Read a run directory; :class:`InputError` when it is none, or when a file in it is damaged."""
    settings = read_settings(run_dir)
    labels = [label_of(t) for t in settings.targets]
    compared = {label: run_dir / ("compare.json" if label == labels[0] else f"{label}/compare.json") for label in labels}
    measured = {label: run_dir / label / "perf.json" for label in labels}
    return RunData(
        root=run_dir,
        settings=settings,
        card=card_of(settings.model),
        stages=read_stages(run_dir),
        results={label: read_results(run_dir / label) for label in (REFERENCE, *labels)},
        comparisons={label: decode(path) for label, path in compared.items() if path.is_file()},
        performances={label: read_performance(path) for label, path in measured.items() if path.is_file()},
        judgement=judge(run_dir, settings),
    )


def card_of(model: str) -> Card | None:
    """The card of a name or a path; None for a card that only its builder's package can make (a report must not need that package)."""
    if ":" in model:
        return None
    path = find_card(model)
    return read_card(path) if path.is_file() else None


def read_stages(run_dir: Path) -> list[Stage]:
    """Every sidecar of the run directory, in the order in which the stages began; ties keep the order of their paths."""
    found = []
    for sidecar in sorted(run_dir.rglob(f"*{SUFFIX}")):
        artefact = sidecar.relative_to(run_dir).as_posix().removesuffix(SUFFIX)
        found.append(Stage(artefact, read_proof(sidecar)))
    return sorted(found, key=lambda stage: stage.proof.started)


def read_results(folder: Path) -> dict[int, dict[str, str]]:
    """The accuracy rows of ``<label>/bs<N>/result.json``, by N."""
    found = {}
    for path in sorted(folder.glob("bs*/result.json")):
        number = path.parent.name.removeprefix("bs")
        if number.isdigit():
            rows = decode(path).get("value", [])
            found[int(number)] = {row["key"]: row["value"] for row in rows}
    return dict(sorted(found.items()))


def decode(path: Path) -> dict[str, Any]:
    """A JSON object from a file; :class:`InputError` names a file that is damaged."""
    try:
        value: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise InputError(f"'{path}' is damaged ({error}); delete it and run the port again") from error
    return value


def accuracy_folder(data: RunData, label: str) -> str:
    """Where the accuracy run of a label stands, relative to the run directory."""
    return f"{label}/bs{accuracy_batch(data.settings.batches)}"
