"""The two sides of a comparison: outcomes of results or tables, joined by sample id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.score import BACKGROUND_CLASSES, Reading, score
from portproof.outcome import Outcomes, read_outcomes
from portproof.proof.lineage import maker_of


@dataclass(frozen=True)
class Sides:
    """What is compared, and how it is read: ``reference`` and ``port`` are result folders or tables
    of outcomes (``.csv``).
    """

    reference: Path
    port: Path
    labels: Path
    reference_reading: Reading
    port_reading: Reading
    allow_missing: bool = False

    def paired(self) -> tuple[Outcomes, Outcomes, int, int]:
        """The outcomes of both sides, of the same samples in the order of the label file, how many
        samples of that file are left out, and how many classes there are at least.

        Classes are counted as the label file counts them, so models with and without a background
        class compare. :class:`InputError` when the sides have different samples, or lack some of
        the label file (unless ``allow_missing``), or none in common.
        """
        truth = read_labels(self.labels)
        one, classes = self._outcomes(self.reference, self.reference_reading)
        other, port_classes = self._outcomes(self.port, self.port_reading)
        _check_classes(self, classes, port_classes)
        one, other = _on_labels(one, truth, self.reference), _on_labels(other, truth, self.port)
        at_one, at_other = _positions(one), _positions(other)
        if not self.allow_missing:
            _check_same(at_one, at_other, self.reference, self.port)
            _check_same(at_other, at_one, self.port, self.reference)
            _check_same(truth, at_one, self.labels, self.reference)
        ids = [i for i in truth if i in at_one and i in at_other]
        if not ids:
            raise InputError(
                f"'{self.reference}' and '{self.port}' have no sample in common: results of the"
                " same samples were expected"
            )
        return (
            one.take([at_one[i] for i in ids]),
            other.take([at_other[i] for i in ids]),
            len(truth) - len(ids),
            max(classes or 0, port_classes or 0, *(label + 1 for label in truth.values())),
        )

    def _outcomes(self, path: Path, reading: Reading) -> tuple[Outcomes, int | None]:
        """The outcomes, and of how many classes: a table alone does not know it."""
        if path.suffix == ".csv":
            maker = maker_of(path)
            figures = maker.facts.get("figures") if maker else None
            classes = figures.get("classes") if isinstance(figures, dict) else None
            return read_outcomes(path), classes if isinstance(classes, int) else None
        scored = score(path, self.labels, replace(reading, allow_missing=self.allow_missing))
        return scored.outcomes, scored.classes

    def inputs(self) -> tuple[dict[str, list[Path]], dict[str, Any]]:
        """What a sidecar says of them: role -> files to hash, and parameters."""
        inputs = {"labels": [self.labels]}
        parameters: dict[str, Any] = {"allow_missing": self.allow_missing}
        for role, path, reading in (
            ("reference", self.reference, self.reference_reading),
            ("port", self.port, self.port_reading),
        ):
            if path.suffix == ".csv":
                inputs[role] = [path]
            else:
                files, facts = reading.inputs(role, path)
                inputs |= files
                parameters |= facts
        return inputs, parameters


def _check_classes(sides: Sides, reference: int | None, port: int | None) -> None:
    """Refuse sides of other sizes, unless one has ImageNet's background class: they are not two
    forms of one model.
    """
    if reference is None or port is None or reference == port:
        return
    if {reference, port} != {BACKGROUND_CLASSES - 1, BACKGROUND_CLASSES}:
        raise InputError(
            f"'{sides.reference}' has {reference} classes and '{sides.port}' has {port}: a port has"
            " its reference's classes; compare results of the same model, and of the same output"
        )


def _positions(outcomes: Outcomes) -> dict[str, int]:
    return {sample: at for at, sample in enumerate(outcomes.ids)}


def _check_same(here: Mapping[str, int], there: Mapping[str, int], name: Path, other: Path) -> None:
    lacking = [i for i in here if i not in there]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {len(here)} samples of '{name}' are not in '{other}'"
            f" ({listed(lacking)}); a paired comparison needs the same samples on both sides: run"
            " the inference on all of them, or leave these out with --allow-missing"
        )


def _on_labels(outcomes: Outcomes, truth: Mapping[str, int], source: Path) -> Outcomes:
    """The outcomes with classes counted as in the label file: a model with a background class has
    all its labels shifted by one.
    """
    unlabelled = [i for i in outcomes.ids if i not in truth]
    if unlabelled:
        raise InputError(
            f"'{source}': {len(unlabelled)} of {len(outcomes)} samples have no label"
            f" ({listed(unlabelled)}); give the label file of these samples"
        )
    shifts = outcomes.label - np.array([truth[i] for i in outcomes.ids], dtype=np.int64)
    shift = 1 if np.all(shifts == 1) else 0
    odd = [outcomes.ids[i] for i in np.flatnonzero(shifts != shift).tolist()]
    if odd:
        raise InputError(
            f"'{source}': the labels of {len(odd)} of {len(outcomes)} samples are not those of the"
            f" label file ({listed(odd)}); make the table again with this label file"
        )
    return Outcomes(
        outcomes.ids,
        outcomes.label - shift,
        outcomes.predicted - shift,
        outcomes.rank,
        outcomes.margin,
    )
