"""The search for the faults of a port, one after the other: each is looked for in what the ones
before it leave unexplained.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from portproof.metrics.diagnosis.candidates import (
    ANOTHER_SCALE,
    BETTER,
    NEXT_TO_NOTHING,
    NOISE,
    NOTHING,
    PARTLY,
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
from portproof.metrics.diagnosis.model.trial import TURNED, Trial
from portproof.metrics.diagnosis.numbers.answers import changed_answers
from portproof.metrics.diagnosis.numbers.sorting import turned_batches
from portproof.metrics.diagnosis.order import Mixed
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.diagnosis.steps.hidden import (
    in_another_order,
    inside_in_another_order,
    inside_of_any_sample,
)
from portproof.metrics.diagnosis.steps.in_part import made_in_part
from portproof.metrics.diagnosis.steps.last_layer import other_last_layer
from portproof.metrics.diagnosis.steps.standing import stands, sure_of, unexplained
from portproof.metrics.diagnosis.steps.state import State, after

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
#: So many samples are given to trials inside the model.
_INSIDE = 64


@dataclass(frozen=True)
class Round:
    """``none``, the explanations of what is left, and what they were tried with. ``short``: the
    dearer ones were left out, since one was good enough.
    """

    none: Candidate
    others: list[Found]
    measure: Measure
    tries: Preprocessing | None = None
    inside: Trial | None = None
    short: bool = False


@dataclass(frozen=True)
class Searched:
    """What a search found, in order; ``tried``: every candidate of the first round, ``none`` among
    them.
    """

    found: list[Found]
    tried: list[Candidate]


def search(model: Reference, state: State, known: Found | None = None) -> Searched:
    """Look for faults until nothing is left, or nothing fits, from a state on. ``known``: a fault
    of the model that was found already.
    """
    if known is None or state.unexplained() <= NOISE:
        return _searched(model, state)
    rest = _searched(model, after(model, state, known) or state)
    return Searched([known, *rest.found], rest.tried)


def _searched(model: Reference, state: State) -> Searched:
    """The faults between the port and a state of the reference."""
    began = time.monotonic()
    begun = _explanations(model, state)
    none, others = begun.none, begun.others
    tried = [none, *(f.candidate for f in others)]
    if 1 - none.score <= NOTHING:
        return Searched([], tried)
    partly: list[Found] = []
    if begun.short:
        chain, whole = _follow(model, state, begun, next(_begin_with(begun, began)), began)
        if whole and stands(chain):
            return Searched(chain, tried)
        begun = _explanations(model, state, thorough=True)
        none, others = begun.none, begun.others
        tried = [none, *(f.candidate for f in others)]
    for first in _begin_with(begun, began):
        chain, whole = _follow(model, state, begun, first, began)
        if whole and stands(chain):
            return Searched(chain, tried)
        partly = partly or sure_of(chain, none)
        if time.monotonic() - began > _SECONDS:
            break
    if not partly and 1 - none.score > SAME and not none.evidence.endswith(ANOTHER_SCALE):
        partly = [_other_head(model, state, begun) or unexplained(none, others)]
    return Searched(partly, tried)


def _other_head(model: Reference, state: State, begun: Round) -> Found | None:
    """Other weights of the last layer, where nothing that is known explains the port."""
    if begun.tries is None or begun.inside is None or begun.inside.network is None:
        return None
    return other_last_layer(
        begun.inside.network,
        lambda: model.samples(state.compared.images, state.mistake),
        begun.tries.port,
    )


def _firsts(none: Candidate, others: list[Found]) -> Iterator[Found]:
    """The faults to begin with, likeliest first: one of each name."""
    best = best_of(none, others)
    seen = set()
    if best:
        seen.add(best.candidate.fault)
        yield best
    if is_quiet(none):
        return
    sound = [f for f in others if f.candidate.fault != "softmax"]
    fit = [f for f in sound if f.sure or left_by(f, none) <= PARTLY]
    for f in sorted(fit, key=lambda f: (not f.sure, left_by(f, none))):
        if f.candidate.fault not in seen and len(seen) < _FIRSTS:
            seen.add(f.candidate.fault)
            yield f


def _begin_with(begun: Round, began: float) -> Iterator[Found]:
    """The faults to begin with. Some show only in another order of the classes or samples, and the
    order only when they are mended.
    """
    firsts = _firsts(begun.none, begun.others)
    for first in itertools.islice(firsts, 1 if best_of(begun.none, begun.others) else 0):
        yield first
    if begun.tries is not None and not is_quiet(begun.none):
        yield from made_in_part(begun.tries)
        for first in in_another_order(begun.tries, begun.measure.common)[:_FIRSTS]:
            yield first
    for first in firsts:
        yield first
    if begun.tries is None or is_quiet(begun.none):
        return
    if begun.inside is not None and time.monotonic() - began < _SECONDS:
        for first in inside_in_another_order(begun.inside, begun.measure, begun.none)[:_FIRSTS]:
            yield first
    if begun.inside is not None and time.monotonic() - began < _SECONDS:
        for first in inside_of_any_sample(begun.inside, begun.tries.port, begun.none)[:_FIRSTS]:
            yield first


def _follow(
    model: Reference, state: State, at_first: Round, first: Found, began: float
) -> tuple[list[Found], bool]:
    """The faults from a first one on, and whether they explain everything. ``began``: when the
    search did; the dearest trials are left out once it has taken long.
    """
    none, others = at_first.none, at_first.others
    begun = 1 - none.score
    best: Found | None = first
    chain: list[Found] = []
    while best is not None:
        chain.append(replace(best, alike=as_good_as(best, none, others)))
        following = after(model, state, best)
        if following is None:
            some = best.explained is not None and not best.explained.all()
            left = 0.0 if some else 1 - best.candidate.score
            return chain, left <= max(_EXPLAINED * begun, min(_OF_8_BITS, BETTER * begun))
        state = following
        left = state.unexplained()
        if left <= NOTHING or len(chain) == _ROUNDS:
            break
        late = time.monotonic() - began > _SECONDS
        next_ = _explanations(model, state, late=late)
        none, others = next_.none, next_.others
        best = best_of(none, others)
    left = state.unexplained()
    return chain, left <= max(_EXPLAINED * begun, min(_OF_8_BITS, BETTER * begun))


def _explanations(
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

    def wanted() -> bool:
        return thorough or not _certain(none, found)

    if wanted():
        tries = Preprocessing(model, state, measure, port, plain)
        found += tries.all()
        loud = 1 - none.score > _HALF and not none.evidence.endswith(ANOTHER_SCALE)
        everywhere = loud and mixed.sound() < _SOUND
        deep = everywhere and not late
        inside = _inside(model, state, measure, port, plain) if state.changed is None else None
        if loud and inside and wanted():
            tried = as_found(inside.all(), none)
            found += [f for f in tried if everywhere or (f.left or 0.0) <= NEXT_TO_NOTHING]
        elif loud and inside and (best := best_of(none, found)) and _of_the_model_too(best):
            found += as_found(inside.like(best.candidate.fault, left_by(best, none)), none)
        # What is done to all pixels or by one weight is done to every sample.
        if deep and wanted():
            # Numbers that may be any come near to every small difference.
            most = NEXT_TO_NOTHING if is_quiet(none) else 1.0
            found += [f for f in tries.fits(found) if left_by(f, none) <= most]
        if deep and inside and _doubted(none, found):
            found += as_found(inside.damaged(), none)
        if deep and best_of(none, found) is None and not is_quiet(none):
            found += tries.pairs(found)
    # Whose answers they are says more than that they are nobody's.
    if best_of(none, found) is None:
        found += (made_in_part(tries) if tries else []) or mixed.stale()
    return Round(none, found, measure, tries, inside, not wanted())


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
        lambda rows: measure(state.answers(rows)),
        neighbours,
    )
