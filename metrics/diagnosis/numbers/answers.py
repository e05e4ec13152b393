"""Outputs that are the reference's, changed as a whole: other steps, limits, orders or values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from portproof.metrics.diagnosis.candidates import Candidate, Found, score_of
from portproof.metrics.diagnosis.likeness import (
    Rows,
    are_probabilities,
    comparable,
    probabilities,
    unlikeness,
)
from portproof.metrics.diagnosis.model.changes import FIXES
from portproof.metrics.diagnosis.numbers.functions import functions
from portproof.metrics.diagnosis.numbers.made import Make, Way
from portproof.metrics.diagnosis.numbers.sorting import sorted_answers


def _best_alone(rows: Rows) -> Rows:
    return np.asarray(rows == rows.max(axis=1, keepdims=True), np.float64)


_ROUNDINGS: dict[str, Make] = {
    "rounded": np.rint,
    "cut": np.trunc,
    "rounded down": np.floor,
    "of the best class alone": _best_alone,
}
#: Floats from here on have no fractions.
_ALL_WHOLE = 2.0**23
#: So many different numbers, and no more, are few for outputs.
_FEW_LEVELS = 16
#: Of the 255 steps of 8 bits a sound range has more than so many used; from so many outputs a step.
_FEW_STEPS, _EACH = 40, 3
#: A limit shows where it holds so many outputs, of so many of the classes, and so many others are
#: different numbers.
_CUT, _OF_CLASSES, _VARIED = 0.1, 0.5, 0.5
#: Batches over which a softmax may have been taken.
_BATCHES = (2, 4, 8, 16, 32, 64, 128)


def changed_answers(port: Rows, right: Rows) -> list[Found]:
    """What may have been done to all outputs. Both sides are raw outputs, (rows, classes)."""
    return [
        *_rounded(port, right),
        *_coarse(port, right),
        *_clipped(port, right),
        *_over_the_batch(port, right),
        *sorted_answers(port, right),
        *functions(port, right),
    ]


def _rounded(port: Rows, right: Rows) -> Iterator[Found]:
    """Outputs that lost their fractions."""
    if not np.array_equal(port, np.rint(port)) or np.array_equal(right, np.rint(right)):
        return
    if np.mean(np.abs(port) < _ALL_WHOLE) < 0.5:
        return
    fix = (
        "write outputs as float: look for a cast to an integer, an argmax or a format without"
        " decimals where results are written, or an output that is not dequantised"
    )
    ways: tuple[tuple[str, Make], ...] = (("outputs", _same), ("probabilities", probabilities))
    for name, before in ways:
        for words, change in _ROUNDINGS.items():
            evidence = f"all outputs of the port are whole numbers, like {name} {words}"
            make = partial(_one_after_the_other, before, change)
            yield Way("outputs-rounded", evidence, fix, make, sure=True).found(port, right)


def _same(rows: Rows) -> Rows:
    return rows


def _one_after_the_other(first: Make, second: Make, rows: Rows) -> Rows:
    return second(first(rows))


def _coarse(port: Rows, right: Rows) -> Iterator[Found]:
    """Outputs on few levels, a step apart: a range that is too wide for 8 bits."""
    levels = np.unique(port)
    if not 2 < len(levels) <= min(_FEW_LEVELS, port.size // 4):
        return
    step = float(np.diff(levels).min())
    if step <= 0 or np.abs(levels / step - np.rint(levels / step)).max() > 0.02:
        return
    fix = (
        "calibrate the last layer's range again with real samples: 8 bits over a range that is too"
        " wide leave these few steps"
    )
    evidence = f"the port's outputs have {len(levels)} different values, {step:g} apart"
    make = partial(_in_steps, step=step)
    yield Way("int8-ranges", evidence, fix, make).found(port, right)


def _in_steps(rows: Rows, step: float) -> Rows:
    return np.asarray(np.rint(rows / step) * step)


def few_steps(port: Rows) -> Found | None:
    """Outputs on so few steps that the range of 8 bits was several times wider than they need: the
    same steps for all, or for each batch. ``port``: (rows, classes), in the order of their ids.
    """
    n = len(port)
    if np.array_equal(port, np.rint(port)):
        return None
    for batch in (n, *(b for b in reversed(_BATCHES) if b < n)):
        parts = [_steps(port[i : i + batch]) for i in range(0, n - n % batch, batch)]
        known = [p for p in parts if p]
        if len(known) < len(parts):
            continue
        used, step = max(u for u, _ in known), float(np.median([s for _, s in known]))
        evidence = (
            f"the port's outputs lie {step:.3g} apart{' in each batch' if batch < n else ''} and"
            f" use {used} of the 256 steps of 8 bits: the range is about {256 / used:.0f} times too"
            " wide"
        )
        alike = ("outputs-rounded",) if np.isclose(step, 10 ** np.rint(np.log10(step))) else ()
        return Found(Candidate("int8-ranges", 0.0, evidence, FIXES["int8-ranges"]), alike)
    return None


def _steps(rows: Rows) -> tuple[int, float] | None:
    """How many steps apart the ends of rows are, and the step; None unless all are multiples of it
    and they are few.
    """
    levels = np.unique(rows)
    if not 2 < len(levels) <= _FEW_STEPS:
        return None
    step = float(np.diff(levels).min())
    used = int(np.rint((levels[-1] - levels[0]) / step)) + 1
    even = np.abs(levels / step - np.rint(levels / step)).max() <= 0.02
    return (used, step) if even and used <= _FEW_STEPS and rows.size >= _EACH * used else None


def _clipped(port: Rows, right: Rows) -> Iterator[Found]:
    """Outputs cut at a smallest or a largest value."""
    low, high = float(port.min()), float(port.max())
    at_low, at_high = (float(np.mean(port == v)) for v in (low, high))
    if max(at_low, at_high) < 1.5 / port.size:
        return
    limits = low if at_low > 1.5 / port.size else -np.inf, high
    limits = limits[0], high if at_high > 1.5 / port.size else np.inf
    evidence = f"the port's outputs end at {limits[0]:g} and {limits[1]:g}"
    fix = (
        "take the limit out: look for an activation behind the last layer, or for an output range"
        " of 8 bits that is too narrow"
    )
    make = partial(np.clip, a_min=limits[0], a_max=limits[1])
    sure = any(_is_limit(port, right, end) for end in (np.min, np.max))
    yield Way("outputs-clipped", evidence, fix, make, sure).found(port, right)


def _is_limit(port: Rows, right: Rows, end: Callable[[Rows], float]) -> bool:
    """Whether so many outputs of most classes are the smallest, or the largest, that they were cut
    there, whatever else is wrong. Saturated probabilities and outputs of few steps say nothing.
    """
    at, own = port == end(port), right == end(right)
    others = port[~at]
    return bool(
        at.mean() >= _CUT > own.mean()
        and (at.any(axis=0)).mean() >= _OF_CLASSES
        and not are_probabilities(port)
        and len(np.unique(others)) >= _VARIED * others.size
    )


def _over_the_batch(port: Rows, right: Rows) -> Iterator[Found]:
    """A softmax along the samples of a batch instead of the classes."""
    n = len(port)
    if port.min() < 0 or port.max() > 1 + 1e-6:
        return
    for batch in (*(b for b in _BATCHES if b < n), n):
        whole = port[: n // batch * batch].reshape(-1, batch, port.shape[1]).sum(axis=1)
        if np.abs(whole - 1).max() < 1e-3:
            parts = [probabilities(right[i : i + batch], axis=0) for i in range(0, n, batch)]
            made = np.concatenate(parts)
            left = unlikeness(comparable(port, False), comparable(made, False))
            evidence = f"the port's outputs add up to 1 over {batch} samples, class by class"
            evidence += f"; the reference's, made so, differ from them by {left.mean():.2g}"
            fix = "take the softmax along the classes (its axis or dim), not along the batch"
            candidate = Candidate("softmax-axis", score_of(left), evidence, fix)
            yield Found(candidate, explained=np.ones(n, bool))
            return
