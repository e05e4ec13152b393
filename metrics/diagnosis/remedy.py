"""What accuracy would be once a fault is mended, measured on the samples compared; and faults that
show in accuracies alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import LAYERS, Candidate, Found
from portproof.metrics.diagnosis.likeness import Rows
from portproof.metrics.diagnosis.look import Compared, Mask
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.paired.bounds import mcnemar_p
from portproof.preprocess.mistakes.usual import usual_mistakes

#: What is no fault, and yet no proof that there is none.
TOO_FEW = "too-few-samples"
#: A loss that chance gives less often than this is one.
_CHANCE = 1e-4
#: From so few samples, nothing is said about chance.
_FEWEST = 16
#: With a mistake that is left over, the reference is run on so many images.
_MOST = 200


def measured(
    model: Reference, found: Sequence[Found], compared: Compared, kept: Mask, right: Rows
) -> list[Found]:
    """The faults with the accuracy after each of them is mended, and those before it. ``kept``: the
    samples that were searched; ``right``: the reference's outputs of all compared.
    """
    measured_ = []
    for i, fault in enumerate(found):
        accuracy = fault.accuracy
        mended = any(f.mistake or f.changed for f in found[:i])
        if accuracy is None and not mended:
            accuracy = _after(fault, compared, kept, right)
        if accuracy is None and (fault.mistake or fault.made) and i + 1 < len(found):
            accuracy = _with_the_rest(model, found[i + 1 :], compared)
        measured_.append(replace(fault, accuracy=accuracy))
    return measured_


def _after(fault: Found, compared: Compared, kept: Mask, right: Rows) -> float | None:
    """From results that are there: the port's, with the reference's where they are replaced."""
    truth, said = compared.truth, compared.port.argmax(axis=1)
    if fault.columns is not None:
        return float(np.mean(fault.columns[said] == truth))
    if fault.explained is None:
        return None
    if len(fault.explained) == len(compared.every):
        again: NDArray[np.bool_] = fault.explained[compared.at]
    elif len(fault.explained) == kept.sum():
        again = np.zeros(len(truth), bool)
        again[kept] = fault.explained
    else:
        return None
    return float(np.mean(np.where(again, right.argmax(axis=1), said) == truth))


def _with_the_rest(model: Reference, rest: Sequence[Found], compared: Compared) -> float | None:
    """The reference made to make the one mistake that is left over."""
    last = rest[0].mistake
    if last is None or len(rest) > 1:
        return None
    alone = [
        m for m in usual_mistakes(model.recipe) if (m.part, m.found) == (last.part, last.found)
    ]
    if not alone:
        return None
    at = np.linspace(0, len(compared.at) - 1, min(_MOST, len(compared.at))).round().astype(int)
    rows = model.outputs([compared.images[i] for i in at], alone[0])
    return float(np.mean(rows.argmax(axis=1) == compared.truth[at]))


def lost(compared: Compared, predicted: NDArray[np.int64]) -> Found | None:
    """A loss of accuracy that chance does not make, where nothing else was found; or no accuracy at
    all on too few samples to say. ``predicted``: what the reference says.
    """
    truth, said = compared.truth, compared.port.argmax(axis=1)
    right, port = predicted == truth, said == truth
    n, broken, fixed = len(truth), int((right & ~port).sum()), int((port & ~right).sum())
    if broken > fixed and mcnemar_p(fixed, broken) < _CHANCE:
        evidence = (
            f"the port is right on {100 * port.mean():.1f} % of {n} images, the reference on"
            f" {100 * right.mean():.1f} % (p = {mcnemar_p(fixed, broken):.2g}); nothing that was"
            " tried gives these outputs"
        )
        fix = f"{LAYERS}: low precision in one layer loses accuracy by small differences"
        return Found(Candidate("unexplained", 0.0, evidence, fix))
    if not right.any() and not port.any() and n < _FEWEST:
        evidence = f"neither side is right on any of {n} images, which are too few to say why"
        fix = f"compare at least {_FEWEST} images, and check the label file"
        return Found(Candidate(TOO_FEW, 0.0, evidence, fix))
    return None
