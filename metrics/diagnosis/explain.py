"""Why a port is less accurate than its reference: the explanation among the usual mistakes that
fits the port's outputs best.

Files, order, labels and classes are compared for all samples, with one run of the reference; for
the usual mistakes of preprocessing it is run over a few images with each of them. Explanations are
compared by how much of the port's outputs they leave unexplained.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np

from portproof.metrics.accuracy.score import BACKGROUND_CLASSES, Reading
from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.defects import broken, constant, framed
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.look import Compared, Mask, choose
from portproof.metrics.diagnosis.model.ranges import unfit_ranges
from portproof.metrics.diagnosis.numbers.answers import few_steps
from portproof.metrics.diagnosis.numbers.form import form_of
from portproof.metrics.diagnosis.numbers.sorting import best_alone
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.diagnosis.remedy import TOO_FEW, lost, measured
from portproof.metrics.diagnosis.search import Searched, search
from portproof.metrics.diagnosis.steps.state import State
from portproof.metrics.diagnosis.truth import wrong_labels
from portproof.verdict import Verdict

#: From fewer results that are sound, where others are broken, nothing is told.
_FEWEST = 3


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was found. ``alike``: others that cannot be told from it. ``accuracy_after``:
    the fraction of the images compared that would be right after the fix.
    """

    fault: str
    evidence: str
    fix: str
    alike: list[str]
    accuracy_after: float


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The first fault, or ``none``; all ``faults`` that were found, one after the other; and all
    explanations that were tried, best first. ``verdict``: PASS if nothing is wrong.
    Accuracies are fractions of the images that were compared (the ``figure`` of a task);
    ``results`` counts all that were read.
    """

    fault: str
    faults: list[Fault]
    candidates: list[Candidate]
    samples: int
    results: int
    reference_accuracy: float
    port_accuracy: float | None
    verdict: Verdict
    figure: str = "Top-1"

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """The diagnosis for people, with the five best explanations."""
        port = "not defined" if self.port_accuracy is None else f"{100 * self.port_accuracy:.1f} %"
        lines = [
            (
                f"{self.figure} on {self.samples} samples: reference"
                f" {100 * self.reference_accuracy:.1f} %, port {port}"
            ),
            "",
        ]
        lines += [f"{c.score:8.4f}  {c.fault}: {c.evidence}" for c in self.candidates[:5]]
        if not self.faults:
            none = next(c for c in self.candidates if c.fault == "none")
            return "\n".join([*lines, "", f"fault: none ({none.evidence})", f"fix: {none.fix}"])
        for number, fault in enumerate(self.faults):
            lines += ["", f"{'fault' if not number else 'and'}: {fault.fault} ({fault.evidence})"]
            if fault.alike:
                lines.append(f"cannot be told apart from it: {', '.join(fault.alike)}")
            lines.append(f"fix: {fault.fix}")
            lines.append(f"after the fix: about {100 * fault.accuracy_after:.1f} %")
        return "\n".join(lines)


def diagnose(
    card: str,
    reference: str | os.PathLike[str],
    images: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    result: str | os.PathLike[str],
    *,
    limit: int | None = None,
    reading: Reading | None = None,
) -> Diagnosis:
    """Explain the difference of a port's results from what its reference answers on ``limit``
    images (by default all of up to 1,000, else that many in runs over the whole data set).

    ``reference`` is an ONNX file or weights. :class:`InputError` when images, labels and results
    have no sample in common, or when the port has other classes than the reference.
    """
    model = Reference(Path(reference), card)
    reading = reading or Reading()
    chosen = choose(Path(images), labels, result, reading, limit)
    right = model.outputs(chosen.images, said="diagnose: the reference")
    form, found = form_of(chosen.files, chosen.ids, right, reading.dtype) or (None, [])
    compared = chosen.read(reading, form)
    compared = replace(compared, port=_without_background(compared.port))
    first = right.shape[1]
    right = _without_background(right)
    first -= right.shape[1]
    predicted, whole = right.argmax(axis=1), right
    classes, item = right.shape[1], np.dtype(reading.dtype).itemsize
    top = best_alone(compared.port, right)
    if top is None:
        header, own, right = framed(compared.port, right, item)
        compared = _unframed(compared, own) if header else compared
        found += [header] if header else []
    if not compared.blank.all() and np.array_equal(compared.port, np.rint(compared.port)):
        # Whole numbers are zeros where fractions were small.
        compared = replace(compared, blank=np.zeros_like(compared.blank))
    found += [top[0], *broken(compared)] if top else broken(compared)
    kept = (compared.finite & ~compared.blank)[compared.at]
    state = State(compared.only(kept), right[kept], np.arange(right.shape[1]) + first)
    if top:
        state = replace(state, right=top[1](state.right), made=top[1])
    rest = _searched(model, Path(result), state, first, 1 if kept.all() else _FEWEST)
    wrong = wrong_labels(compared, predicted, classes)
    found += rest.found + wrong[:1]
    if not found and (loss := lost(compared, predicted)):
        found = [loss]
    found = measured(model, found, compared, kept, whole)
    candidates = [f.candidate for f in found]
    candidates += [c for c in rest.tried + [f.candidate for f in wrong[1:]] if c not in candidates]
    expected = float(np.mean(predicted == compared.truth))
    return Diagnosis(
        fault=found[0].candidate.fault if found else "none",
        faults=_faults(found, expected),
        candidates=_ranked(candidates, len(found)),
        samples=len(compared.at),
        results=len(compared.every),
        reference_accuracy=expected,
        port_accuracy=float(np.mean(compared.port.argmax(axis=1) == compared.truth)),
        verdict=_verdict(found),
    )


def _searched(model: Reference, result: Path, state: State, first: int, fewest: int) -> Searched:
    """What makes the answers others than the reference's, its outputs from column ``first`` on;
    nothing where there are not the ``fewest`` results.
    """
    compared, right = state.compared, state.right
    if len(right) < fewest:
        return Searched([], [])
    if same := constant(compared):
        return Searched([same], [])
    known = None if state.made else unfit_ranges(model, result, compared, right, first)
    rest = search(model, state, known)
    if not {f.candidate.fault for f in rest.found} - {"unexplained"}:
        few = few_steps(compared.port)
        return Searched([few] if few else rest.found, rest.tried)
    return rest


def _verdict(found: Sequence[Found]) -> Verdict:
    """PASS where nothing is wrong; UNDECIDED where that cannot be said."""
    if not found:
        return Verdict.PASS
    undecided = found[0].candidate.fault == TOO_FEW
    return Verdict.UNDECIDED if undecided else Verdict.FAIL


def _ranked(candidates: list[Candidate], found: int) -> list[Candidate]:
    """What was found stays first, in its order; the others by their score."""
    return candidates[:found] + sorted(candidates[found:], key=lambda c: -c.score)


def _faults(found: Sequence[Found], reference_accuracy: float) -> list[Fault]:
    return [
        Fault(
            fault=f.candidate.fault,
            evidence=f.candidate.evidence,
            fix=f.candidate.fix,
            alike=list(f.alike),
            accuracy_after=reference_accuracy if f.accuracy is None else f.accuracy,
        )
        for f in found
    ]


def _unframed(compared: Compared, port: Rows) -> Compared:
    """The same without the header's numbers, which need not be numbers at all."""
    finite: Mask = np.ones(len(compared.every), bool)
    finite[compared.at] = np.isfinite(port).all(axis=1)
    blank = np.zeros(len(compared.every), bool)
    blank[compared.at] = ~port.any(axis=1)
    return replace(compared, port=port, finite=finite, blank=blank)


def _without_background(rows: Rows) -> Rows:
    """Rows of 1000 classes where they have 1001, the first of which is the background."""
    return rows[:, 1:] if rows.shape[1] == BACKGROUND_CLASSES else rows
