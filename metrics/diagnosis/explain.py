"""Why a port is less accurate than its reference: the explanation among the usual mistakes that
fits the port's outputs best.

The reference is run over a few images, as its card says and with every usual mistake of
preprocessing; mistakes of order, labels and files need no further run. Explanations are compared by
how much of the port's outputs they leave unexplained.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.text import listed
from portproof.manifest import sample_id
from portproof.metrics.accuracy.label_file import read_labels
from portproof.metrics.accuracy.results import ResultFiles, class_count, list_results, read_results
from portproof.metrics.accuracy.score import BACKGROUND_CLASSES, Reading
from portproof.metrics.diagnosis.likeness import (
    Rows,
    are_probabilities,
    comparable,
    unlikeness,
    unlikeness_matrix,
)
from portproof.metrics.diagnosis.reference import Reference
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.mistakes.faults import WrongRecipe, wrong_recipes

#: An output this unlike the reference's is not a matter of precision, not even of 8 bits.
_SAME = 0.05
#: A fault must leave at most this share of what "no fault" leaves unexplained.
_BETTER = 0.5
#: What arithmetic in another order or precision leaves: below it there is nothing to explain.
_NOISE = 1e-4


class Candidate(msgspec.Struct, frozen=True):
    """One explanation. ``score``: the share of the port's outputs that it explains, 0 to 1."""

    fault: str
    score: float
    evidence: str
    fix: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The best explanation, or ``none``, and all that were tried, best first. Accuracies are
    fractions of the images that were looked at.
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


@dataclass(frozen=True)
class _Looked:
    """What is looked at: ids, labels, and the port's outputs (without a background class), all in
    the order of the ids.
    """

    ids: list[str]
    images: list[Path]
    labels: Sequence[int]
    port: Rows


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
    looked = _look(
        Path(images),
        labels,
        list_results(result, (reading or Reading()).output),
        reading or Reading(),
        limit,
    )
    right = _without_background(model.outputs(looked.images, model.recipe))
    if right.shape[1] != looked.port.shape[1]:
        raise InputError(
            f"the port has {looked.port.shape[1]} classes, the reference {right.shape[1]}; is this"
            " the reference's port, is --dtype right?"
        )
    broken = _broken(looked)
    if broken is not None:
        return _diagnosis(looked, right, broken.fault, [broken])
    candidates = _explanations(model, looked, right)
    fault = _best(candidates)
    if fault == "none":
        shifted = _labels_shifted(looked, right)
        candidates += shifted
        fault = shifted[0].fault if shifted else fault
    return _diagnosis(looked, right, fault, candidates)


def _explanations(model: Reference, looked: _Looked, right: Rows) -> list[Candidate]:
    """Every explanation of the outputs, ``none`` first; mistakes of preprocessing are tried when
    there is something to explain.
    """
    softmax = are_probabilities(looked.port)
    as_probabilities = softmax or are_probabilities(right)
    port, plain = comparable(looked.port, as_probabilities), comparable(right, as_probabilities)
    # What all samples have in common proves nothing about any of them.
    common = plain.mean(axis=0) if len(plain) > 1 else np.zeros(plain.shape[1])
    port, plain = port - common, plain - common
    left = unlikeness(port, plain)
    candidates = [
        _none(left),
        *(_moved(looked, port, plain) or _mixed(looked, left)),
        *_classes_shifted(port, plain),
    ]
    if softmax and not are_probabilities(right):
        evidence = (
            "the port's outputs are probabilities, the reference's are not, which changes no rank"
        )
        candidates.append(Candidate("softmax", _score(left), evidence, "nothing to do"))
    for wrong in wrong_recipes(model.recipe) if float(left.mean()) > _NOISE else ():
        try:
            outputs = _without_background(model.outputs(looked.images, wrong.recipe, wrong.as_nhwc))
        except MissingPackageError as error:
            progress.warn(f"not tried: {wrong.mistake}; {error}")
            continue
        candidates.append(
            _of_recipe(
                wrong, model, unlikeness(port, comparable(outputs, as_probabilities) - common)
            )
        )
    return candidates


def _look(
    images: Path, labels: str | os.PathLike[str], files: ResultFiles, reading: Reading, limit: int
) -> _Looked:
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
    return _Looked(
        ids, [path for _, path in chosen], [truth[i] for i in ids], _without_background(port)
    )


def _without_background(rows: Rows) -> Rows:
    """Rows of 1000 classes where they have 1001, the first of which is the background."""
    return rows[:, 1:] if rows.shape[1] == BACKGROUND_CLASSES else rows


def _broken(looked: _Looked) -> Candidate | None:
    """Outputs that no preprocessing explains."""
    n = len(looked.ids)
    bad = [looked.ids[i] for i in np.flatnonzero(~np.isfinite(looked.port).all(axis=1)).tolist()]
    if bad:
        return Candidate(
            "not-finite",
            1.0,
            f"{len(bad)} of {n} results hold NaN or infinity ({listed(bad)})",
            "the model overflows: convert it with a wider precision, and look for the first such"
            " layer with metrics/layers.py",
        )
    if not looked.port.any():
        return Candidate(
            "zeros",
            1.0,
            f"all {n} results are zeros",
            "the model did not run, or its output was not copied back: run the inference again",
        )
    if n > 1 and np.ptp(looked.port, axis=0).max() <= 1e-6 * np.abs(looked.port).max():
        return Candidate(
            "constant",
            1.0,
            f"all {n} results are the same",
            "the model does not see its input: check the input's name, dtype and size",
        )
    return None


def _none(left: Rows) -> Candidate:
    evidence = (
        f"the port differs from the reference by {left.mean():.2g} on average, at most"
        f" {left.max():.2g}"
    )
    known = float(left.mean()) <= _SAME
    return Candidate(
        "none",
        _score(left),
        evidence,
        (
            "nothing to do"
            if known
            else "none of the usual mistakes: compare the layers with metrics/layers.py"
        ),
    )


def _of_recipe(wrong: WrongRecipe, model: Reference, left: Rows) -> Candidate:
    evidence = f"{wrong.mistake}: the reference made to do so differs by {left.mean():.2g}"
    return Candidate(wrong.fault, _score(left), evidence, wrong.fix(model.recipe))


def _moved(looked: _Looked, port: Rows, plain: Rows) -> list[Candidate]:
    """Results that are the reference's answer to another sample."""
    matrix = unlikeness_matrix(port, plain)
    n = len(matrix)
    closest = matrix.argmin(axis=1)
    moved = np.flatnonzero((closest != np.arange(n)) & (matrix.min(axis=1) < _SAME))
    if n < 3 or 2 * len(moved) < n or 4 * len(set(closest.tolist())) < 3 * n:
        return []
    offsets, counts = np.unique(closest[moved] - moved, return_counts=True)
    offset = int(offsets[counts.argmax()])
    same = float(counts.max()) / len(moved)
    example = (
        f"that of {looked.ids[moved[0]]} is the reference's of {looked.ids[closest[moved[0]]]}"
    )
    fault = "samples-shifted" if same > 0.8 else "samples-shuffled"
    how = f"; the offset is {offset} samples" if same > 0.8 else ""
    score = 1 - float(matrix.min(axis=1).mean())
    fix = (
        "name results by sample id: check the order and the index of the info list, and that the"
        " result folder was empty"
    )
    return [
        Candidate(
            fault,
            score,
            f"{len(moved)} of {n} results belong to another sample ({example}{how})",
            fix,
        )
    ]


def _mixed(looked: _Looked, left: Rows) -> list[Candidate]:
    """Some results are the reference's, others are not: files of another run among them."""
    same = left < _SAME
    share = float(same.mean())
    if not 0.1 <= share <= 0.9 or left[same].max() * 10 > left[~same].min():
        return []
    odd = [looked.ids[i] for i in np.flatnonzero(~same).tolist()]
    evidence = (
        f"{len(odd)} of {len(left)} results differ entirely, the others are the reference's"
        f" ({listed(odd)})"
    )
    return [
        Candidate(
            "stale-results",
            1 - float(left[same].mean()),
            evidence,
            "results of another run are among these: empty the folder, run again",
        )
    ]


def _classes_shifted(port: Rows, plain: Rows) -> list[Candidate]:
    """Every class one place from where the reference has it: a background class too many or too
    few.
    """
    fix = "compare the class lists of both models: one has a background class, or lost its first"
    return [
        Candidate(
            "classes-shifted",
            _score(unlikeness(port, np.roll(plain, by, axis=1))),
            f"every class stands {by:+d} from the reference's",
            fix,
        )
        for by in (1, -1)
    ]


def _labels_shifted(looked: _Looked, right: Rows) -> list[Candidate]:
    """Outputs are right, and yet the labels hit only when they are counted from another number."""
    labels, predicted = np.array(looked.labels), right.argmax(axis=1)
    plain = float(np.mean(predicted == labels))
    found = []
    for shift, fix in (
        (-1, "the label file counts from 1: write it again, counted from 0"),
        (1, "the labels are one too low: write the file again"),
    ):
        share = float(np.mean(predicted == labels + shift))
        if share >= 0.3 and share > 3 * plain:
            evidence = (
                f"the reference is right on {100 * share:.0f} % of the images with labels moved by"
                f" {shift:+d}, on {100 * plain:.0f} % as they are"
            )
            found.append(Candidate("labels-shifted", share, evidence, fix))
    return found


def _score(left: Rows) -> float:
    return max(0.0, 1 - float(left.mean()))


def _best(candidates: Sequence[Candidate]) -> str:
    """The fault that leaves least unexplained, if it explains clearly more than no fault does, and
    most of the outputs.
    """
    none = next(c for c in candidates if c.fault == "none")
    best = max(
        (c for c in candidates if c.fault != "softmax"), key=lambda c: c.score
    )  # a softmax is harmless
    unexplained = 1 - none.score
    if unexplained <= _NOISE or 1 - best.score > _BETTER * unexplained or best.score < 0.5:
        return "none"
    return best.fault


def _diagnosis(
    looked: _Looked, right: Rows, fault: str, candidates: Sequence[Candidate]
) -> Diagnosis:
    labels = np.array(looked.labels)
    return Diagnosis(
        fault=fault,
        candidates=sorted(candidates, key=lambda c: (-c.score, c.fault != fault)),
        samples=len(looked.ids),
        reference_accuracy=float(np.mean(right.argmax(axis=1) == labels)),
        port_accuracy=float(np.mean(looked.port.argmax(axis=1) == labels)),
    )
