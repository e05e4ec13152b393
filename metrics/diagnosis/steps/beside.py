"""A mistake of preprocessing and a fault inside the model at once, neither of which fits alone."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from portproof.core import progress
from portproof.metrics.diagnosis.candidates import (
    NEXT_TO_NOTHING,
    Candidate,
    Found,
    as_found,
    left_by,
)
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.steps.trial import Trial
from portproof.metrics.diagnosis.steps.weighing import ENOUGH

#: Faults inside are looked for so long behind each mistake, and for so long in all; of so many that
#: fit, though not exactly, the best is taken.
_EACH_S, _ALL_S, _BOTH = 5.0, 30.0, 4


def beside_a_mistake(
    tries: Preprocessing, inside: Trial, none: Candidate, others: list[Found]
) -> list[Found]:
    """A mistake of ``others`` that leaves next to nothing with a fault inside the model on top,
    which is found once the mistake is mended: the likeliest of each kind are tried first.
    """
    likely = sorted((f for f in others if f.mistake), key=lambda f: left_by(f, none))
    kinds: dict[str, Found] = {}
    for found in likely:
        kinds.setdefault(found.candidate.fault, found)
    first = list(kinds.values())
    images = tries.state.compared.images[: len(inside.port)]
    began = time.monotonic()
    both: list[Found] = []
    for found in [*first, *(f for f in likely if all(f is not k for k in first))]:
        mistake = found.mistake
        assert mistake is not None
        if time.monotonic() - began > _ALL_S:
            progress.say("diagnose: mistakes beside faults inside the model were tried in part")
            break
        behind = replace(
            inside,
            make=partial(tries.model.samples, images, mistake),
            tried=[],
            seconds=_EACH_S,
        )
        best = min(as_found(behind.all(), none), key=lambda f: left_by(f, none), default=None)
        left = left_by(best, none) if best else 1.0
        if best and left <= NEXT_TO_NOTHING:
            said = f"and to have this fault as well ({best.candidate.fault}) differs by"
            one = tries.found_as(
                mistake,
                f"{said} {1 - best.candidate.score:.2g}",
                best.candidate.score,
                left,
            )
            both.append(replace(one, besides="model"))
            # Behind statistics of a batch, what shifts or scales all values hardly shows.
            if left <= ENOUGH or len(both) == _BOTH:
                break
    return sorted(both, key=lambda f: f.left or 0.0)[:1]
