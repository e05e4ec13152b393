"""The search for the faults of a port, one after the other: each is looked for in what the ones
before it leave unexplained.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from portproof.metrics.diagnosis.candidates import (
    ANOTHER_SCALE,
    BETTER,
    LAYERS,
    NEXT_TO_NOTHING,
    NOISE,
    NOTHING,
    Candidate,
    Found,
    as_found,
    as_good_as,
    best_of,
    classes_moved,
    is_quiet,
    left_by,
    no_fault,
    score_of,
)
from portproof.metrics.diagnosis.likeness import (
    SAME,
    Measure,
    Rows,
    are_probabilities,
    unlikeness,
)
from portproof.metrics.diagnosis.look import Compared
from portproof.metrics.diagnosis.model.trial import TURNED, Trial
from portproof.metrics.diagnosis.numbers.answers import changed_answers
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.preprocessing import Preprocessing, State
from portproof.metrics.diagnosis.reference import Reference

#: The first of several faults may leave more, if what follows it explains the rest.
_PARTLY = 0.85
#: What half precision leaves: dearer trials begin above it.
_HALF = 1e-6
#: Once something explains all but this share, nothing dearer is tried.
_CERTAIN = 0.02
#: Faults one after the other, first faults that are followed, and seconds in which a further one is
#: begun with.
_ROUNDS, _FIRSTS, _SECONDS = 3, 3, 50.0
#: All faults together leave at most this share, or what 8 bits leave.
_EXPLAINED, _OF_8_BITS = 0.12, 0.01
#: Where this share of the samples is the reference's, the others are of another run.
_SOUND = 0.3
#: 8 bits over wide ranges may be it if they make a difference of the same size, within this.
_SIZED = 0.3
#: So many samples are given to trials inside the model.
_INSIDE = 64


@dataclass(frozen=True)
class Searched:
    """What a search found, in order; ``tried``: every candidate of the first round, ``none`` among
    them.
    """

    found: list[Found]
    tried: list[Candidate]


def search(
    model: Reference, compared: Compared, right: Rows, first: int = 0, known: Found | None = None
) -> Searched:
    """Look for faults until nothing is left, or nothing fits. ``right``: the reference's answers,
    its outputs from column ``first`` on; ``known``: a fault of the model that was found already.
    """
    state = State(compared, right, np.arange(right.shape[1]) + first)
    if known is None or _unexplained_in(state) <= NOISE:
        return _searched(model, state)
    rest = _searched(model, _after(model, state, known) or state)
    return Searched([known, *rest.found], rest.tried)


def _searched(model: Reference, state: State) -> Searched:
    """The faults between the port and a state of the reference."""
    began = time.monotonic()
    none, others = _explanations(model, state)
    tried = [none, *(f.candidate for f in others)]
    if 1 - none.score <= NOTHING:
        return Searched([], tried)
    partly: list[Found] = []
    for first in _firsts(none, others):
        chain, whole = _follow(model, state, none, others, first)
        if whole:
            return Searched(chain, tried)
        partly = partly or _sure(chain, none)
        if time.monotonic() - began > _SECONDS:
            break
    if not partly and 1 - none.score > SAME and not none.evidence.endswith(ANOTHER_SCALE):
        partly = [unexplained(none, others)]
    return Searched(partly, tried)


def unexplained(none: Candidate, others: list[Found]) -> Found:
    """Something is wrong that has no name here; ``others``: what was tried."""
    nearest = min(others, key=lambda f: left_by(f, none), default=None)
    said = "; nothing that was tried gives these outputs"
    if nearest and left_by(nearest, none) < _PARTLY:
        share = 100 * left_by(nearest, none)
        said += f" (the nearest, {nearest.candidate.fault}, leaves {share:.0f} % of it)"
    wide = [f for f in others if f.candidate.fault == "int8-ranges" and f.changed]
    size = 1 - none.score
    alike = ("int8-ranges",) if any(_SIZED < f.moved / size < 1 / _SIZED for f in wide) else ()
    fix = (
        f"{LAYERS}: the first layer whose error grows tells weights, operators and 8-bit ranges"
        " apart from the input's"
    )
    return Found(Candidate("unexplained", none.score, none.evidence + said, fix), alike)


def _firsts(none: Candidate, others: list[Found]) -> Iterator[Found]:
    """The faults to begin with, likeliest first: one of each name."""
    best = best_of(none, others)
    seen = set()
    if best:
        seen.add(best.candidate.fault)
        yield best
    if is_quiet(none):
        return
    fit = [f for f in others if f.candidate.fault != "softmax" and left_by(f, none) <= _PARTLY]
    for f in sorted(fit, key=lambda f: left_by(f, none)):
        if f.candidate.fault not in seen and len(seen) < _FIRSTS:
            seen.add(f.candidate.fault)
            yield f


def _follow(
    model: Reference, state: State, none: Candidate, others: list[Found], first: Found
) -> tuple[list[Found], bool]:
    """The faults from a first one on, and whether they explain everything."""
    begun = 1 - none.score
    best: Found | None = first
    chain: list[Found] = []
    while best is not None:
        chain.append(replace(best, alike=as_good_as(best, none, others)))
        following = _after(model, state, best)
        if following is None:
            some = best.explained is not None and not best.explained.all()
            left = 0.0 if some else 1 - best.candidate.score
            return chain, left <= max(_EXPLAINED * begun, min(_OF_8_BITS, BETTER * begun))
        state = following
        left = _unexplained_in(state)
        if left <= NOTHING or len(chain) == _ROUNDS:
            break
        none, others = _explanations(model, state)
        best = best_of(none, others)
    left = _unexplained_in(state)
    return chain, left <= max(_EXPLAINED * begun, min(_OF_8_BITS, BETTER * begun))


def _unexplained_in(state: State) -> float:
    measure = Measure(state.compared.port, state.right)
    return float(unlikeness(measure(state.compared.port), measure(state.right)).mean())


def _sure(chain: list[Found], none: Candidate) -> list[Found]:
    """The faults of a chain that stand without the rest: orders and copies that fit most rows."""
    sure = []
    for found in chain:
        if found.there is None and found.columns is None:
            break
        if left_by(found, none) > BETTER:
            break
        sure.append(found)
    return sure


def _explanations(model: Reference, state: State) -> tuple[Candidate, list[Found]]:
    """``none``, and every explanation of what is left."""
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
        return none, [*found, *moved]
    mixed = Mixed(compared, port, plain)
    found += [*mixed.explanations(), *moved, *changed_answers(compared.port, right)]
    if not _certain(none, found):
        tries = Preprocessing(model, state, measure, port, plain)
        found += tries.all()
        loud = 1 - none.score > _HALF and not none.evidence.endswith(ANOTHER_SCALE)
        everywhere = loud and mixed.sound() < _SOUND
        inside = _inside(model, state, measure, port, plain) if state.changed is None else None
        if loud and inside and not _certain(none, found):
            tried = as_found(inside.all(), none)
            found += [f for f in tried if everywhere or (f.left or 0.0) <= NEXT_TO_NOTHING]
        elif loud and inside and (best := best_of(none, found)) and _of_the_model_too(best):
            found += as_found(inside.like(best.candidate.fault, left_by(best, none)), none)
        # What is done to all pixels or by one weight is done to every sample.
        if everywhere and not _certain(none, found):
            # Numbers that may be any come near to every small difference.
            most = NEXT_TO_NOTHING if is_quiet(none) else 1.0
            found += [f for f in tries.fits(found) if left_by(f, none) <= most]
        if everywhere and inside and _doubted(none, found):
            found += as_found(inside.damaged(), none)
        if everywhere and best_of(none, found) is None and not is_quiet(none):
            found += tries.pairs(found)
    # Whose answers they are says more than that they are nobody's.
    if best_of(none, found) is None:
        found += mixed.stale()
    return none, found


def _certain(none: Candidate, found: list[Found]) -> bool:
    best = best_of(none, found)
    return best is not None and left_by(best, none) <= _CERTAIN


def _of_the_model_too(best: Found) -> bool:
    """Whether a fault multiplies or turns the input, as other layers do."""
    turned = best.candidate.fault in TURNED
    return best.mistake is not None and (turned or not best.mistake.changes)


def _doubted(none: Candidate, found: list[Found]) -> bool:
    """Whether nothing explains the whole difference yet."""
    best = best_of(none, found)
    return best is None or left_by(best, none) > _EXPLAINED


def _inside(model: Reference, state: State, measure: Measure, port: Rows, plain: Rows) -> Trial:
    """Faults inside the model, to be tried on the first samples of those compared."""
    compared, count = state.compared, min(_INSIDE, len(port))
    at = compared.at[:count]
    gaps = np.flatnonzero(np.diff(at) != 1)
    neighbours = (int(gaps[0]) + 1 if len(gaps) else count) if at[0] == 0 else 0
    return Trial(
        model.model,
        model.card,
        lambda: model.samples(compared.images[:count], state.mistake),
        port[:count],
        plain[:count],
        lambda rows: measure(rows[:, state.columns]),
        neighbours,
    )


def _after(model: Reference, state: State, found: Found) -> State | None:
    """What is left to explain once a fault is; None if nothing is."""
    compared, right = state.compared, state.right
    if found.explained is not None:
        kept = ~found.explained
        if kept.sum() < 3:
            return None
        return replace(state, compared=compared.only(kept), right=right[kept])
    if found.there is not None:
        known = found.there >= 0
        there = found.there[known]
        rest = compared.only(known)
        images = [compared.images[i] for i in there]
        moved = replace(rest, at=compared.at[there], images=images)
        return replace(state, compared=moved, right=right[there])
    if found.columns is not None:
        return replace(state, right=right[:, found.columns], columns=state.columns[found.columns])
    mistake, changed = found.mistake or state.mistake, found.changed or state.changed
    if found.mistake is None and found.changed is None:
        return None
    if 1 - found.candidate.score <= NOTHING:
        return None
    outputs = model.outputs(compared.images, mistake, changed=changed)
    return replace(state, right=outputs[:, state.columns], mistake=mistake, changed=changed)
