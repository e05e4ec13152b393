"""The two sides of a comparison: outcomes of results or tables, joined by sample id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.metrics.accuracy.label_file import Labels, label_columns
from portproof.metrics.accuracy.one_output import Results
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import BACKGROUND_CLASSES, Reading, score
from portproof.outcome import Outcomes, read_outcomes
from portproof.packed.ids import SampleIds
from portproof.proof.lineage import maker_of

Places = NDArray[np.int64]
#: Results that were opened already, by folder and output.
Opened = dict[tuple[Path, int | None], Results]


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
    _opened: dict[tuple[Path, int | None], Results] = field(
        default_factory=dict, compare=False, repr=False
    )

    def paired(self) -> tuple[Outcomes, Outcomes, int, int]:
        """The outcomes of both sides, of the same samples in the order of the label file, how many
        samples of that file are left out, and how many classes there are at least.

        Classes are counted as the label file counts them, so models with and without a background
        class compare. :class:`InputError` when the sides have different samples, or lack some of
        the label file (unless ``allow_missing``), or none in common.
        """
        truth = label_columns(self.labels)
        one, classes = self._outcomes(self.reference, self.reference_reading, truth)
        other, port_classes = self._outcomes(self.port, self.port_reading, truth)
        _check_classes(self, classes, port_classes)
        one, at_one = _on_labels(one, truth, self.reference)
        other, at_other = _on_labels(other, truth, self.port)
        if not self.allow_missing:
            _check_same(truth.ids, at_one, at_other, self.reference, self.port)
            _check_same(truth.ids, at_other, at_one, self.port, self.reference)
            everywhere = np.arange(len(truth.ids))
            _check_same(truth.ids, everywhere, at_one, self.labels, self.reference)
        both = (at_one >= 0) & (at_other >= 0)
        if not both.any():
            raise InputError(
                f"'{self.reference}' and '{self.port}' have no sample in common: results of the"
                " same samples were expected"
            )
        return (
            one.take(at_one[both]),
            other.take(at_other[both]),
            int(np.count_nonzero(~both)),
            max(classes or 0, port_classes or 0, int(truth.classes.max()) + 1),
        )

    def _outcomes(self, path: Path, reading: Reading, truth: Labels) -> tuple[Outcomes, int | None]:
        """The outcomes, and of how many classes: a table alone does not know it."""
        if path.suffix == ".csv":
            maker = maker_of(path)
            figures = maker.facts.get("figures") if maker else None
            classes = figures.get("classes") if isinstance(figures, dict) else None
            return read_outcomes(path), classes if isinstance(classes, int) else None
        results = self._opened.pop((path, reading.output), None)
        results = results or list_results(path, reading.output)
        scored = score(results, truth, replace(reading, allow_missing=self.allow_missing))
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
                results = list_results(path, reading.output)
                self._opened[path, reading.output] = results
                files, facts = reading.inputs(role, results)
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


def _check_same(samples: SampleIds, here: Places, there: Places, name: Path, other: Path) -> None:
    """Refuse ``samples`` that one side has and the other lacks: their places in each, -1 for
    none.
    """
    lacking = [samples[i] for i in np.flatnonzero((here >= 0) & (there < 0)).tolist()]
    if lacking:
        raise InputError(
            f"{len(lacking)} of {np.count_nonzero(here >= 0)} samples of '{name}' are not in"
            f" '{other}' ({listed(lacking)}); a paired comparison needs the same samples on both"
            " sides: run the inference on all of them, or leave these out with --allow-missing"
        )


def _on_labels(outcomes: Outcomes, truth: Labels, source: Path) -> tuple[Outcomes, Places]:
    """The outcomes with classes counted as in the label file (a model with a background class has
    all its labels shifted by one), and the place of each sample of the label file in them, -1 for
    none.
    """
    places = SampleIds.of(outcomes.ids).places_in(truth.ids)
    unlabelled = [outcomes.ids[i] for i in np.flatnonzero(places < 0).tolist()]
    if unlabelled:
        raise InputError(
            f"'{source}': {len(unlabelled)} of {len(outcomes)} samples have no label"
            f" ({listed(unlabelled)}); give the label file of these samples"
        )
    shifts = outcomes.label - truth.classes[places]
    shift = 1 if np.all(shifts == 1) else 0
    odd = [outcomes.ids[i] for i in np.flatnonzero(shifts != shift).tolist()]
    if odd:
        raise InputError(
            f"'{source}': the labels of {len(odd)} of {len(outcomes)} samples are not those of the"
            f" label file ({listed(odd)}); make the table again with this label file"
        )
    at = np.full(len(truth.ids), -1)
    at[places] = np.arange(len(places))
    if shift == 0:
        return outcomes, at
    counted = Outcomes(
        outcomes.ids,
        outcomes.label - shift,
        outcomes.predicted - shift,
        outcomes.rank,
        outcomes.margin,
    )
    return counted, at
