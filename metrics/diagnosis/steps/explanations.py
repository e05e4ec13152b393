"""What explains the difference that is left: one round of the search."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.metrics.diagnosis.candidates import (
    NEXT_TO_NOTHING,
    NOTHING,
    Candidate,
    Found,
    as_found,
    best_of,
    classes_moved,
    is_another_scale,
    is_quiet,
    left_by,
    no_fault,
    score_of,
)
from portproof.metrics.diagnosis.likeness import Measure, Rows, are_probabilities, unlikeness
from portproof.metrics.diagnosis.numbers.answers import changed_answers
from portproof.metrics.diagnosis.numbers.sorting import turned_batches
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.diagnosis.steps.in_part import made_in_part
from portproof.metrics.diagnosis.steps.pairs import pairs_of_mistakes
from portproof.metrics.diagnosis.steps.state import State
from portproof.metrics.diagnosis.steps.trial import TURNED, Trial

#: What half precision leaves: dearer trials begin above it.
_HALF = 1e-6
#: Once something explains all but this share, nothing dearer is tried.
_CERTAIN = 0.02
#: All faults together leave at most this share.
EXPLAINED = 0.12
#: Where this share of the samples is the reference's, the others are of another run.
_SOUND = 0.3
#: Constants beside a layer that is scaled are fitted for so long.
_CONSTANTS_S = 5.0
#: So many samples are given to trials inside the model.
_INSIDE = 64


@dataclass(frozen=True)
class Round:
    """``none``, the explanations of what is left, and what they were tried with. ``short``: the
    dearer ones were left out, since one was good enough; ``paired``: pairs of mistakes are in them.
    """

    none: Candidate
    others: list[Found]
    measure: Measure
    tries: Preprocessing | None = None
    inside: Trial | None = None
    short: bool = False
    paired: bool = False


def explanations(
    model: Reference, state: State, thorough: bool = False, late: bool = False
) -> Round:
    """Explanations of what is left: every one if ``thorough``, else as many as are needed; if it is
    ``late``, without numbers that may be any, single weights, and pairs.
    """
    compared, right = state.compared, state.right
    measure = Measure(compared.port, right)
    port, plain = measure(compared.port), measure(right)
    left = unlikeness(port, plain)
    none = no_fault(compared.port, right, left)
    found = []
    if measure.softmax and not are_probabilities(right):
        evidence = (
            "the port's outputs are probabilities, the reference's are not, which changes no rank"
        )
        found.append(Found(Candidate("softmax", score_of(left), evidence, "nothing to do")))
    moved = classes_moved(port + measure.common, plain + measure.common)
    if float(left.mean()) <= NOTHING:
        return Round(none, [*found, *moved], measure)
    mixed = Mixed(compared, port, plain)
    found += [*mixed.explanations(), *moved, *turned_batches(compared, right)]
    if state.made is None:
        found += changed_answers(compared.port, right)
    tries: Preprocessing | None = None
    inside: Trial | None = None
    paired = False

    def wanted() -> bool:
        return thorough or not _certain(none, found)

    if wanted():
        tries = Preprocessing(model, state, measure, port, plain)
        found += tries.all()
        loud = 1 - none.score > _HALF and not is_another_scale(none)
        everywhere = loud and mixed.sound() < _SOUND
        deep = everywhere and not late
        inside = _inside(model, state, measure, port, plain) if state.changed is None else None
        if loud and inside:
            found += _changes_inside(inside, none, found, wanted(), everywhere)
        if deep and _scales_a_layer(best_of(none, found)):
            until = time.monotonic() + _CONSTANTS_S
            found += tries.constants(found, NEXT_TO_NOTHING, until)
        # What is done to all pixels or by one weight is done to every sample.
        if deep and wanted():
            # Numbers that may be any come near to every small difference.
            most = NEXT_TO_NOTHING if is_quiet(none) else 1.0
            found += [f for f in tries.fits(found) if left_by(f, none) <= most]
        if deep and inside and _doubted(none, found):
            found += as_found(inside.damaged(), none)
        # With a fault that was found before, there would be three.
        first = state.mistake is None and state.changed is None
        paired = deep and first and best_of(none, found) is None and not is_quiet(none)
        found += pairs_of_mistakes(tries, found) if paired else []
        found += _of_the_input_too(model, state, tries, best_of(none, found), moved)
    # Whose answers they are says more than that they are nobody's.
    if best_of(none, found) is None:
        found += (made_in_part(tries) if tries else []) or mixed.stale()
    return Round(none, found, measure, tries, inside, not wanted(), paired)


def _certain(none: Candidate, found: list[Found]) -> bool:
    best = best_of(none, found)
    return best is not None and left_by(best, none) <= _CERTAIN


def _of_the_model_too(best: Found) -> bool:
    """Whether a fault multiplies or turns the input, as other layers do."""
    turned = best.candidate.fault in TURNED
    return best.mistake is not None and (turned or not best.mistake.changes)


def _changes_inside(
    inside: Trial, none: Candidate, found: list[Found], wanted: bool, everywhere: bool
) -> list[Found]:
    """Faults inside the model: all if they are ``wanted``, else those that come to the same as the
    best mistake of preprocessing. Where a fault is not ``everywhere``, one must leave next to
    nothing.
    """
    if wanted:
        tried = as_found(inside.all(), none)
        return [f for f in tried if everywhere or (f.left or 0.0) <= NEXT_TO_NOTHING]
    best = best_of(none, found)
    if best is None or not _of_the_model_too(best):
        return []
    return as_found(inside.like(best.candidate.fault, left_by(best, none)), none)


def _scales_a_layer(best: Found | None) -> bool:
    """Whether it does what other constants may do as well."""
    return best is not None and best.changed is not None and best.changed.fault == "layer-weights"


def _of_the_input_too(
    model: Reference,
    state: State,
    tries: Preprocessing,
    best: Found | None,
    orders: list[Found],
) -> list[Found]:
    """The usual mistakes, and ``orders`` of classes, that come to the same as the best change of
    the model: they are named first.
    """
    if best is None or best.changed is None:
        return []
    run = best.changed.run

    def answers(rows: NDArray[np.int64]) -> Rows:
        images = [state.compared.images[i] for i in rows]
        return state.answers(run(model.samples(images, state.mistake)))

    return tries.same_as(best, answers, orders)


def _doubted(none: Candidate, found: list[Found]) -> bool:
    """Whether nothing explains the whole difference yet."""
    best = best_of(none, found)
    return best is None or left_by(best, none) > EXPLAINED


def _inside(model: Reference, state: State, measure: Measure, port: Rows, plain: Rows) -> Trial:
    """Faults inside the model, to be tried on the first samples of those compared."""
    compared, count = state.compared, min(_INSIDE, len(port))
    at = compared.at[:count]
    gaps = np.flatnonzero(np.diff(at) != 1)
    neighbours = (int(gaps[0]) + 1 if len(gaps) else count) if at[0] == 0 else 0
    return Trial(
        reference=model.model,
        card=model.card,
        make=lambda: model.samples(compared.images[:count], state.mistake),
        port=port[:count],
        plain=plain[:count],
        measure=lambda rows: measure(state.answers(rows)),
        neighbours=neighbours,
    )
