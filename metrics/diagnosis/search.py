"""The search for the faults of a port, one after the other: each is looked for in what the ones
before it leave unexplained.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from portproof.metrics.diagnosis.candidates import (
    BETTER,
    NOISE,
    NOTHING,
    PARTLY,
    Candidate,
    Found,
    as_good_as,
    best_of,
    is_quiet,
    left_by,
    most_left,
)
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.reference import Reference
from portproof.metrics.diagnosis.steps.any_sample import orders_beside_another_fault
from portproof.metrics.diagnosis.steps.beside import beside_a_mistake
from portproof.metrics.diagnosis.steps.explanations import Round, explanations
from portproof.metrics.diagnosis.steps.firsts import FIRSTS, firsts, of_each_name, rivals
from portproof.metrics.diagnosis.steps.hidden import (
    fits_behind,
    inside_behind,
    inside_of_any_sample,
    mistakes_behind,
    orders_behind,
)
from portproof.metrics.diagnosis.steps.in_part import made_in_part
from portproof.metrics.diagnosis.steps.last_layer import last_layer, other_last_layer
from portproof.metrics.diagnosis.steps.pairs import pairs_of_mistakes
from portproof.metrics.diagnosis.steps.standing import (
    FITTED,
    Chain,
    chain_of,
    of_order,
    sure_of,
    unexplained,
)
from portproof.metrics.diagnosis.steps.state import State, after
from portproof.preprocess.mistakes.mistake import Mistake

#: Faults one after the other.
_ROUNDS = 3
#: A further fault is begun with after so many seconds of work at most; of waiting, where other
#: programs have the processors.
_WORK_S, _WAIT_S = 55.0, 90.0
#: What numbers that were fitted leave of the whole.
_OF_A_FIT = 1e-5


class Patience:
    """How long a search has taken."""

    def __init__(self) -> None:
        self._worked, self._waited = time.process_time(), time.monotonic()

    def is_over(self) -> bool:
        """Whether nothing dear is begun with any more."""
        worked, waited = time.process_time() - self._worked, time.monotonic() - self._waited
        return worked > _WORK_S or waited > _WAIT_S


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
    patience = Patience()
    begun = explanations(model, state)
    none, others = begun.none, begun.others
    tried = [none, *(f.candidate for f in others)]
    if 1 - none.score <= NOTHING:
        return Searched([], tried)
    partly: list[Found] = []
    if begun.short:
        chain = _follow(model, state, begun, next(_begin_with(begun, patience)), patience)
        if chain.whole and not chain.took_some():
            return Searched(chain.found, tried)
        begun = explanations(model, state, thorough=True)
        none, others = begun.none, begun.others
        tried = [none, *(f.candidate for f in others)]
    head = functools.cache(lambda: _other_head(model, state, begun))
    beside = functools.cache(lambda: _beside(begun))
    nearly: list[Chain] = []
    followed: list[Found] = []
    others_tried = 0
    for first in _begin_with(begun, patience, head, beside):
        followed.append(first)
        chain = _follow(model, state, begun, first, patience)
        if not chain.whole and len(chain.found) > 1 and not patience.is_over():
            instead = (_follow(model, state, begun, r, patience) for r in rivals(begun, first))
            chain = next((c for c in instead if c.whole), chain)
        if chain.whole and not chain.took_some():
            return Searched(chain.found, tried)
        if chain.whole:
            others_way = list(_begun_with_the_second(model, state, begun, chain, patience))
            if exact := next((c for c in others_way if c.left <= FITTED), None):
                return Searched(exact.found, tried)
            nearly += [chain, *others_way]
        others_tried += bool(nearly)
        partly = partly or sure_of(chain.found, none)
        if patience.is_over() or others_tried > FIRSTS:
            break
    if nearly and min(nearly, key=Chain.order).left > NOISE and not patience.is_over():
        left = [first for first in beside() if all(first is not f for f in followed)]
        both = (_follow(model, state, begun, first, patience) for first in left)
        nearly += [chain for chain in both if chain.whole]
    if nearly:
        return Searched(min(nearly, key=Chain.order).found, tried)
    if not partly and not is_quiet(none):
        partly = head() or [unexplained(none, others)]
    return Searched(partly, tried)


def _other_head(model: Reference, state: State, begun: Round) -> list[Found]:
    """Other weights of the last layer, where nothing that is known explains the port."""
    if begun.tries is None or begun.inside is None or begun.inside.network is None:
        return []
    network = begun.inside.network
    found = other_last_layer(
        network, lambda: model.samples(state.compared.images, state.mistake), begun.tries.port
    )
    if not found:
        return []
    # A matrix that may be any takes another order of the classes with it.
    curves, last = begun.tries.state.made is None, last_layer(network)
    behind = inside_behind(begun.inside, begun.measure, begun.none, curves, last)
    return [*(f for f in behind if f.candidate.fault != found.candidate.fault), found]


def _begin_with(
    begun: Round,
    patience: Patience,
    head: Callable[[], list[Found]] = list,
    beside: Callable[[], list[Found]] = list,
) -> Iterator[Found]:
    """The faults to begin with. Some show only in another order of the classes or samples, and the
    order only when they are mended. ``head``: other weights of the last layer; ``beside``: a
    mistake of preprocessing with a fault inside.
    """
    likeliest = firsts(begun.none, begun.others)
    yield from itertools.islice(likeliest, 1 if best_of(begun.none, begun.others) else 0)
    if begun.tries is not None and not is_quiet(begun.none):
        yield from made_in_part(begun.tries)
        yield from of_each_name(orders_beside_another_fault(begun.tries))
        yield from of_each_name(mistakes_behind(begun.tries, begun.measure.common))
        yield from of_each_name(orders_behind(begun.tries, begun.measure.common))
    yield from likeliest
    if begun.tries is None or begun.inside is None or is_quiet(begun.none):
        return
    tries, inside, common = begun.tries, begun.inside, begun.measure.common
    dearer: tuple[Callable[[], list[Found]], ...] = (
        head,
        lambda: inside_behind(inside, begun.measure, begun.none, tries.state.made is None),
        lambda: inside_of_any_sample(inside, tries.port, begun.none),
        lambda: [] if begun.paired else pairs_of_mistakes(tries, begun.others),
        lambda: fits_behind(tries, common),
        beside,
    )
    for looked in dearer:
        if not patience.is_over():
            yield from of_each_name(looked())


def _beside(begun: Round) -> list[Found]:
    """A mistake of preprocessing that fits with a fault inside the model on top."""
    if begun.tries is None or begun.inside is None:
        return []
    return beside_a_mistake(begun.tries, begun.inside, begun.none, begun.others)


def _begun_with_the_second(
    model: Reference, state: State, begun: Round, chain: Chain, patience: Patience
) -> Iterator[Chain]:
    """A chain whose first fault has a number that was fitted while the second was in the way, the
    other way round.
    """
    first, *rest = chain.found
    tries = begun.tries
    if patience.is_over() or tries is None or not tries.seen:
        return
    if rest and first.changed and rest[0].explained is not None:
        yield from _without_rows(model, state, rest[0], patience)
    seconds = [f.mistake for f in rest[:1] if f.mistake and first.changed]
    if first.candidate.fault == "normalisation-constants":
        seconds = _in_the_way(model, state, tries, first)
    for mistake in seconds:
        behind = (_follow(model, state, begun, f, patience)
                  for f in tries.of(mistake, tries.seen[0].rows))  # fmt: skip
        yield from (other for other in behind if other.whole)


def _in_the_way(
    model: Reference, state: State, tries: Preprocessing, first: Found
) -> list[Mistake]:
    """The usual mistake that explains some of what fitted constants leave."""
    rest = after(model, state, first)
    if rest is None:
        return []
    anew = explanations(model, rest)
    near = min(anew.others, key=lambda f: left_by(f, anew.none), default=first)
    if near.mistake is None or left_by(near, anew.none) > PARTLY:
        return []
    same = near.mistake.part, near.mistake.found
    return [m.mistake for m in tries.seen if (m.mistake.part, m.mistake.found) == same]


def _without_rows(
    model: Reference, state: State, found: Found, patience: Patience
) -> Iterator[Chain]:
    """What explains the rows that a fault leaves, once those that it explains are gone."""
    rest = after(model, state, found)
    if rest is None:
        return
    anew = explanations(model, rest)
    first = best_of(anew.none, anew.others)
    if first is not None:
        chain = _follow(model, rest, anew, first, patience)
        yield chain._replace(found=[found, *chain.found])


def _follow(
    model: Reference, state: State, at_first: Round, first: Found, patience: Patience
) -> Chain:
    """The faults from a first one on; where they leave something, and others may fit better than
    what was good enough, with all of these.
    """
    chain, short = _followed(model, state, at_first, first, patience)
    if (chain.whole and chain.left <= NOISE) or not short or patience.is_over():
        return chain
    other, _ = _followed(model, state, at_first, first, patience, thorough=True)
    better = not chain.whole or (other.whole and other.left <= BETTER * chain.left)
    return other if better else chain


def _followed(
    model: Reference,
    state: State,
    at_first: Round,
    first: Found,
    patience: Patience,
    *,
    thorough: bool = False,
) -> tuple[Chain, bool]:
    """The faults from a first one on, and whether dearer trials were left out after it. The dearest
    are once there is no more ``patience``.
    """
    short = False
    none, others = at_first.none, at_first.others
    begun = none
    best: Found | None = first
    chain: list[Found] = []
    while best is not None:
        chain.append(replace(best, alike=as_good_as(best, none, others)))
        following = after(model, state, best)
        if following is None:
            some = best.explained is not None and not best.explained.all()
            left = 0.0 if some else 1 - best.candidate.score
            return chain_of(chain, left, begun), short
        left = following.unexplained()
        if len(chain) > 1 and not following.explains(state, most_left(none)) and not of_order(best):
            # It fits the samples that it was tried on, and not the others.
            return chain_of(chain[:-1], state.unexplained(), begun), short
        state = following
        if left <= max(NOTHING, _OF_A_FIT * (1 - begun.score)) or len(chain) == _ROUNDS:
            break
        late = patience.is_over()
        next_ = explanations(model, state, thorough, late)
        none, others, short = next_.none, next_.others, short or next_.short
        best = best_of(none, others)
    return chain_of(chain, state.unexplained(), begun), short
