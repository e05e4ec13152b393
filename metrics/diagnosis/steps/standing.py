"""What holds of faults that were found one after the other."""

from __future__ import annotations

from typing import NamedTuple

from portproof.metrics.diagnosis.candidates import (
    BETTER,
    LAYERS,
    NEXT_TO_NOTHING,
    NOISE,
    PARTLY,
    Candidate,
    Found,
    is_quiet,
    left_by,
    most_left,
)
from portproof.metrics.diagnosis.steps.explanations import EXPLAINED

#: What the last of several faults leaves where they are all that there is.
_EXACTLY = 1e-4
#: Behind another fault, more results than this share that are nobody's say that it is not that one;
#: where the others are explained exactly, more than half of all.
_STALE, _HALF = 0.25, 0.5
#: 8 bits over wide ranges may be it if they make a difference of the same size, within this.
_SIZED = 0.3
#: Faults with numbers that may be any, which come near to others.
_FITTED = ("normalisation-constants", "values-clipped", "layer-weights", "bn-epsilon")
#: What numbers leave that were fitted to what is there, and to nothing else.
FITTED = 1e-6
#: What 8 bits leave.
_OF_8_BITS = 0.01


class Chain(NamedTuple):
    """Faults one after the other, what they leave, and whether that is as good as nothing."""

    found: list[Found]
    left: float
    whole: bool

    def took_some(self) -> bool:
        """Whether numbers that may be any may have taken some of a second fault with them, since
        alone they leave nothing; or whether the second of two explains only some of the rest, or
        the first, of a layer, may be another near to it.
        """
        first, *rest = self.found
        if first.candidate.fault in _FITTED:
            return bool(rest) or self.left > NOISE
        return bool(rest) and self.left > (NOISE if first.changed else _OF_8_BITS)

    def order(self) -> tuple[bool, int, float]:
        """Its place among others: those that leave nothing come first, then the shortest."""
        return self.left > NOISE, len(self.found), self.left


def chain_of(found: list[Found], left: float, begun: Candidate) -> Chain:
    """A chain that leaves so much of what it has ``begun`` with."""
    whole = 1 - begun.score
    enough = max(EXPLAINED * whole, min(_OF_8_BITS, BETTER * whole))
    if is_quiet(begun):
        enough = (NEXT_TO_NOTHING if len(found) > 1 else most_left(begun)) * whole
    return Chain(found, left, left <= enough and stands(found))


def sure_of(chain: list[Found], none: Candidate) -> list[Found]:
    """The faults of a chain that stand without the rest: orders and copies that fit most rows, and
    what the port's outputs alone show.
    """
    sure = []
    for found in chain:
        near = of_order(found) and left_by(found, none) <= BETTER and found.besides != "other"
        if not found.sure and not near:
            break
        sure.append(found)
    return sure


def stands(chain: list[Found]) -> bool:
    """Whether what the first fault stands with was found as well, or what leaves nothing, and no
    large part of the results was given up.
    """
    first, *rest = chain
    if rest and _share(rest[-1]) <= _HALF and 1 - rest[-1].candidate.score <= _EXACTLY:
        return True
    if any(f.candidate.fault == "stale-results" and _share(f) > _STALE for f in rest):
        return False
    if not first.besides:
        return True
    if first.besides == "order":
        return any(of_order(f) for f in rest)
    if first.besides == "function":
        return any(f.made is not None for f in rest)
    return bool(rest)


def _share(found: Found) -> float:
    """The share of the samples that a fault explains."""
    return 0.0 if found.explained is None else float(found.explained.mean())


def of_order(found: Found) -> bool:
    """Whether a fault is an order of samples, classes or values."""
    return any(part is not None for part in (found.there, found.columns, found.undone))


def unexplained(none: Candidate, others: list[Found]) -> Found:
    """Something is wrong that has no name here; ``others``: what was tried."""
    nearest = min(others, key=lambda f: left_by(f, none), default=None)
    said = "; nothing that was tried gives these outputs"
    if nearest and left_by(nearest, none) < PARTLY:
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
