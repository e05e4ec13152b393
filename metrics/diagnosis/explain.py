"""Why a port is less accurate than its reference: the explanation among the usual mistakes that
fits the port's outputs best.

The reference is run over a few images, as its card says and with every usual mistake of
preprocessing; mistakes of order, labels and files need no further run. Explanations are compared by
how much of the port's outputs they leave unexplained.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.manifest import sample_id
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.results import ResultFiles, class_count, list_results, read_results
from portproof.metrics.accuracy.score import BACKGROUND_CLASSES, Reading
from portproof.metrics.diagnosis.candidates import (
    Candidate,
    Compared,
    broken,
    classes_shifted,
    labels_shifted,
    mixed_results,
    moved_samples,
    no_fault,
    score_of,
)
from portproof.metrics.diagnosis.likeness import Rows, are_probabilities, comparable, unlikeness
from portproof.metrics.diagnosis.reference import Reference
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.mistakes.usual import Mistake, usual_mistakes
from portproof.recipe import describe

#: A fault must leave at most this share of what "no fault" leaves unexplained.
_BETTER = 0.5
#: What arithmetic in another order or precision leaves: below it there is nothing to explain.
_NOISE = 1e-4


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The best explanation, or ``none``, and all that were tried, best first. Accuracies are
    fractions of the images that were compared.
    """

    fault: str
    candidates: list[Candidate]
    samples: int
    reference_accuracy: float
    port_accuracy: float

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """The diagnosis for people, with the five best explanations."""
        best = next(c for c in self.candidates if c.fault == self.fault)
        lines = [
            (
                f"Top-1 on {self.samples} images: reference {100 * self.reference_accuracy:.1f} %,"
                f" port {100 * self.port_accuracy:.1f} %"
            ),
            "",
        ]
        lines += [f"{c.score:8.4f}  {c.fault}: {c.evidence}" for c in self.candidates[:5]]
        return "\n".join([*lines, "", f"fault: {self.fault} ({best.evidence})", f"fix: {best.fix}"])


def diagnose(
    card: str,
    reference: str | os.PathLike[str],
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    result: str | os.PathLike[str],
    *,
    limit: int = 32,
    reading: Reading | None = None,
) -> Diagnosis:
    """Explain the difference of a port's results from what its reference answers on the first
    ``limit`` images (by sample id).

    ``reference`` is an ONNX file or weights. :class:`InputError` when images, labels and results
    have no sample in common, or when the port has other classes than the reference.
    """
    model = Reference(Path(reference), card)
    compared = _look(
        Path(images),
        labels,
        list_results(result, (reading or Reading()).output),
        reading or Reading(),
        limit,
    )
    right = _without_background(model.outputs(compared.images, model.recipe))
    if right.shape[1] != compared.port.shape[1]:
        raise InputError(
            f"the port has {compared.port.shape[1]} classes, the reference {right.shape[1]}; check"
            " that it is the reference's port, and --dtype"
        )
    if (defect := broken(compared)) is not None:
        return _diagnosis(compared, right, defect.fault, [defect])
    candidates = _explanations(model, compared, right)
    fault = _best(candidates)
    if fault == "none":
        shifted = labels_shifted(compared, right)
        candidates += shifted
        fault = shifted[0].fault if shifted else fault
    return _diagnosis(compared, right, fault, candidates)


def _explanations(model: Reference, compared: Compared, right: Rows) -> list[Candidate]:
    """Every explanation of the outputs, ``none`` first; mistakes of preprocessing are tried when
    there is something to explain.
    """
    softmax = are_probabilities(compared.port)
    as_probabilities = softmax or are_probabilities(right)
    port, plain = comparable(compared.port, as_probabilities), comparable(right, as_probabilities)
    # What all samples have in common proves nothing about any of them.
    common = plain.mean(axis=0) if len(plain) > 1 else np.zeros(plain.shape[1])
    port, plain = port - common, plain - common
    left = unlikeness(port, plain)
    candidates = [
        no_fault(left),
        *(moved_samples(compared, port, plain) or mixed_results(compared, left)),
        *classes_shifted(port, plain),
    ]
    if softmax and not are_probabilities(right):
        evidence = (
            "the port's outputs are probabilities, the reference's are not, which changes no rank"
        )
        candidates.append(Candidate("softmax", score_of(left), evidence, "nothing to do"))
    for mistake in usual_mistakes(model.recipe) if float(left.mean()) > _NOISE else ():
        if mistake.fault is None:
            continue
        try:
            outputs = _without_background(model.outputs(compared.images, mistake.recipe))
        except MissingPackageError as error:
            progress.warn(f"not tried: {mistake.part} of {mistake.found}; {error}")
            continue
        left_by_it = unlikeness(port, comparable(outputs, as_probabilities) - common)
        candidates.append(_of_mistake(mistake, mistake.fault, model, left_by_it))
    return candidates


def _of_mistake(mistake: Mistake, fault: str, model: Reference, left: Rows) -> Candidate:
    return Candidate(
        fault,
        score_of(left),
        f"{mistake.part}: {mistake.found} instead of {mistake.asked}; the reference made to do so"
        f" differs by {left.mean():.2g}",
        f"preprocess with the card's recipe ({describe(model.recipe)})",
    )


def _look(
    images: Path, labels: str | os.PathLike[str], files: ResultFiles, reading: Reading, limit: int
) -> Compared:
    truth = read_labels(labels)
    known = [(sample_id(path), path) for path in find_images(images)]
    chosen = [(i, path) for i, path in known if i in files.ids and i in truth][:limit]
    if not chosen:
        raise InputError(
            f"images in '{images}', labels in '{labels}' and results in '{files.folder}' have no"
            " sample in common; are they of one data set?"
        )
    ids = [i for i, _ in chosen]
    classes = class_count(files, reading.dtype, reading.classes)
    port = np.concatenate(
        [rows.astype(np.float64) for _, rows in read_results(files, ids, classes, reading.dtype)]
    )
    return Compared(
        ids, [path for _, path in chosen], [truth[i] for i in ids], _without_background(port)
    )


def _without_background(rows: Rows) -> Rows:
    """Rows of 1000 classes where they have 1001, the first of which is the background."""
    return rows[:, 1:] if rows.shape[1] == BACKGROUND_CLASSES else rows


def _best(candidates: Sequence[Candidate]) -> str:
    """The fault that leaves least unexplained, if clearly less than no fault does."""
    none = next(c for c in candidates if c.fault == "none")
    # A softmax is harmless.
    best = max((c for c in candidates if c.fault != "softmax"), key=lambda c: c.score)
    unexplained = 1 - none.score
    if unexplained <= _NOISE or 1 - best.score > _BETTER * unexplained or best.score < 0.5:
        return "none"
    return best.fault


def _diagnosis(
    compared: Compared, right: Rows, fault: str, candidates: Sequence[Candidate]
) -> Diagnosis:
    labels = np.array(compared.labels)
    return Diagnosis(
        fault=fault,
        candidates=sorted(candidates, key=lambda c: (-c.score, c.fault != fault)),
        samples=len(compared.ids),
        reference_accuracy=float(np.mean(right.argmax(axis=1) == labels)),
        port_accuracy=float(np.mean(compared.port.argmax(axis=1) == labels)),
    )
