"""The numbers of an ONNX file against PyTorch's: per output, and per slice of each axis.

One tolerance for boxes in pixels and scores of 0 to 1 in one output would let the pixels hide wrong
scores. So each index of each axis behind the batch is a slice, judged against its own spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from portproof.core.errors import InputError, ToolError

Array = npt.NDArray[Any]

#: Outputs that spread less than this over samples (absolutely, or as a fraction of the largest
#: output) prove nothing.
LEAST_SPREAD, LEAST_RELATIVE_SPREAD = 1e-4, 1e-3
#: A mask (-1e9, -1e4, the least float) is this many times as large as all else in its slice, and
#: its values are equal up to this fraction. It widens nothing.
MASK_FACTOR, MASK_BAND = 100.0, 0.02
#: How many kinds of mask one slice may hold.
MASK_KINDS = 3
#: How often what rounding alone does to PyTorch's own answers is granted to the file.
NOISE_FACTOR = 8.0
#: How much more often than by rounding elements may change places in the file (root mean square).
JUMP_FACTOR = 4.0
#: Whole numbers (indices, classes) are equal or not.
WHOLE = 0.5


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``relative``: a difference of this fraction of a slice's spread over samples is too much;
    faithful float32 exports stay under a tenth of it. ``rounding``: rounding of a deep network, as
    a fraction of the slice's largest value. ``floor``: what approximations of bounded functions
    (sigmoid, erf) are off by.
    """

    relative: float
    rounding: float
    floor: float


SINGLE = Tolerance(1e-3, 1e-5, 5e-7)
#: Of 11 bits of precision: a few units in the last place.
HALF = Tolerance(2e-2, 4e-3, 5e-4)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far one output is from PyTorch's, in the slice that is nearest to its limit.

    ``output``: its name; ``slice``: such as ``[:, 5]`` (``[...]``: all of it). ``max_difference``:
    largest absolute difference there; ``spread``: standard deviation over samples there, root mean
    square over elements; ``allowed``: the largest difference that passes. ``passed``: whether all
    slices do. ``proves``: whether the output varies enough over samples for that to mean anything.
    """

    output: str
    slice: str
    max_difference: float
    spread: float
    allowed: float
    passed: bool
    proves: bool

    @property
    def badness(self) -> tuple[bool, float, bool]:
        """Sorts the worst output last."""
        return not self.passed, self.max_difference / self.allowed, not self.proves

    def __str__(self) -> str:
        where = f"'{self.output}'" + (f" {self.slice}" if self.slice != "[...]" else "")
        return (
            f"largest difference {self.max_difference:.3g} in output {where}, which spreads by"
            f" {self.spread:.3g} over samples ({self.allowed:.3g} is allowed)"
        )


def check_finite(reference: Sequence[Array], names: Sequence[str]) -> None:
    """Refuse a model whose own answers are NaN: nothing can be compared with them."""
    for name, array in zip(names, reference, strict=True):
        if array.dtype.kind == "f" and np.isnan(array).any():
            raise InputError(
                f"PyTorch's own output '{name}' holds NaN ({np.isnan(array).mean():.0%} of it) on"
                " the check's samples: nothing can be compared with it; check the model and its"
                " weights"
            )


def compare(
    exported: Sequence[Array],
    reference: Sequence[Array],
    names: Sequence[str],
    *,
    tolerance: Tolerance = SINGLE,
    base: Sequence[Array] | None = None,
    noise: Sequence[Sequence[Array]] = (),
) -> list[Parity]:
    """How far every exported output is from the reference's.

    ``base``: the reference on samples that vary, when these do not; its spread counts too.
    ``noise``: for each output how far rounding alone moved the reference's answers, in one or more
    runs (:func:`portproof.convert.export.soundness.rounding_noise`). Equal infinities are equal; a
    NaN of the reference is not judged.
    """
    return [
        _compare_one(
            name,
            a,
            b,
            tolerance=tolerance,
            base=None if base is None else np.asarray(base[k], dtype=np.float64),
            noise=[run[k] for run in noise],
        )
        for k, (name, a, b) in enumerate(zip(names, exported, reference, strict=True))
    ]


def _compare_one(
    name: str,
    exported: Array,
    reference: Array,
    *,
    tolerance: Tolerance,
    base: Array | None,
    noise: Sequence[Array],
) -> Parity:
    if exported.shape != reference.shape:
        raise ToolError(
            f"the exported model gives output '{name}' of shape {exported.shape}, PyTorch gives"
            f" {reference.shape}"
        )
    b = np.asarray(reference, dtype=np.float64)
    difference = _difference(np.asarray(exported, dtype=np.float64), b)
    whole = reference.dtype.kind != "f"
    every = [_Slices(name, axis, b, tolerance, base, whole) for axis in _axes(reference.shape)]
    if len(noise):
        whole_output = _Slices(name, None, b, tolerance, base, whole)
        jumps = np.max([s.jumps(difference, noise) for s in (*every, whole_output)], axis=0)
        difference = np.where(difference <= jumps, 0.0, difference)
    slices = [_judged(one, difference, noise) for one in every]
    worst = max(slices, key=lambda parity: parity.badness)
    spread, largest = (float(v[0]) for v in _scale(b if base is None else base, None))
    proves = spread >= max(LEAST_SPREAD, LEAST_RELATIVE_SPREAD * largest)
    return Parity(
        name, worst.slice, worst.max_difference, worst.spread, worst.allowed, worst.passed, proves
    )


def _difference(a: Array, b: Array) -> Array:
    """Absolute differences: 0 for equal infinities and where ``b`` is NaN, infinite where only one
    is finite.
    """
    same = (a == b) | np.isnan(b)
    with np.errstate(invalid="ignore"):
        difference: Array = np.abs(a - b)
    difference[same] = 0.0
    difference[np.isnan(difference)] = np.inf
    return difference


def _axes(shape: tuple[int, ...]) -> list[int | None]:
    """The axes whose every index is a slice; None: the whole output is one."""
    axes: list[int | None] = [k for k in range(1, len(shape)) if shape[k] > 1]
    return axes or [None]


@dataclass(frozen=True, slots=True)
class _Slices:
    """The slices of one axis of an output (None: all of it is one slice)."""

    name: str
    axis: int | None
    reference: Array
    tolerance: Tolerance
    base: Array | None
    whole: bool

    def limits(self, masked: Array) -> tuple[Array, Array]:
        """Spread of each slice, and what its differences may be."""
        spread, largest = _scale(self.reference, self.axis, masked)
        if self.base is not None:
            spread = np.maximum(spread, _scale(self.base, self.axis)[0])
        if self.whole:
            return spread, np.full_like(spread, WHOLE)
        allowed = np.maximum(self.tolerance.relative * spread, self.tolerance.rounding * largest)
        return spread, np.maximum(allowed, self.tolerance.floor)

    def jumps(self, difference: Array, noise: Sequence[Array]) -> Array:
        """What each element may differ by because the reference's own elements change places: in a
        slice that rounding alone moves beyond its limit, as where two nearly equal scores are
        sorted.
        """
        masked = _masked(self.reference, self.axis)
        moved = np.where(masked, 0.0, difference)
        granted = _granted(moved, masked, noise, self.axis, JUMP_FACTOR)
        beyond = granted > NOISE_FACTOR * self.limits(masked)[1]
        each = _spread_out(np.where(beyond, granted, 0.0), difference.ndim, self.axis)
        return np.broadcast_to(each, difference.shape)


def _judged(slices: _Slices, difference: Array, noise: Sequence[Array]) -> Parity:
    """The worst slice of an axis."""
    b, axis = slices.reference, slices.axis
    masked = _masked(b, axis)
    spread, allowed = slices.limits(masked)
    ordinary = np.where(masked, 0.0, difference)
    found = _over(np.max, ordinary, axis)
    limit = np.maximum(allowed, _granted(ordinary, masked, noise, axis, NOISE_FACTOR))
    # A mask is judged against itself, element by element.
    own = np.where(masked & np.isfinite(b), slices.tolerance.rounding * np.abs(b), 1.0)
    own = np.maximum(own, NOISE_FACTOR * np.max(noise, axis=0)) if len(noise) else own
    of_masks = np.where(masked, difference, 0.0) / own
    if of_masks.max(initial=0.0) > max(1.0, float((found / limit).max())):
        index = np.unravel_index(int(np.argmax(of_masks)), b.shape)
        k = 0 if axis is None else int(index[axis])
        found[k], limit[k] = difference[index], own[index]
    ratio = found / limit
    worst = int(np.argmax(ratio))
    return Parity(
        slices.name,
        "[...]" if axis is None else _named(axis, worst, b.ndim),
        float(found[worst]),
        float(spread[worst]),
        float(limit[worst]),
        bool((ratio <= 1.0).all()),
        True,
    )


def _granted(
    ordinary: Array, masked: Array, noise: Sequence[Array], axis: int | None, factor: float
) -> Array:
    """What a slice may differ by because PyTorch's own answer moves as much by rounding alone.

    Both the largest and the mean square must agree: one element at the edge of a threshold does
    not excuse the others.
    """
    count = 1 if axis is None else ordinary.shape[axis]
    granted = np.zeros(count)
    if not len(noise):
        return granted
    moved = [np.where(masked | ~np.isfinite(run), 0.0, run) for run in noise]
    most = np.max([_over(np.max, run, axis) for run in moved], axis=0)
    square = np.max([_over(np.mean, run**2, axis) for run in moved], axis=0)
    differs = _over(np.mean, np.where(np.isfinite(ordinary), ordinary, np.inf) ** 2, axis)
    return np.where(differs <= factor**2 * square, NOISE_FACTOR * most, 0.0)


def _masked(b: Array, axis: int | None) -> Array:
    """Which elements are not numbers of the output's own scale: infinite, NaN, or a mask."""
    masked = ~np.isfinite(b)
    for _ in range(MASK_KINDS):
        size = np.where(masked, 0.0, np.abs(b))
        top = _spread_out(_over(np.max, size, axis), b.ndim, axis)
        near = size >= (1 - MASK_BAND) * top
        rest = _spread_out(_over(np.max, np.where(near, 0.0, size), axis), b.ndim, axis)
        found = near & (rest > 0) & (top >= MASK_FACTOR * rest) & ~masked
        if not found.any():
            break
        masked |= found
    return masked


def _scale(b: Array, axis: int | None, masked: Array | None = None) -> tuple[Array, Array]:
    """Spread over samples (root mean square over elements) and largest value of each slice, masks
    left out.
    """
    masked = _masked(b, axis) if masked is None else masked
    weight = (~masked).astype(np.float64)
    values = np.where(masked, 0.0, b)
    mean = values.sum(0) / np.maximum(weight.sum(0), 1.0)
    square = (values - mean) ** 2 * weight
    total = np.maximum(_over(np.sum, weight, axis), 1.0)
    return np.sqrt(_over(np.sum, square, axis) / total), _over(np.max, np.abs(values), axis)


def _over(function: Any, values: Array, axis: int | None) -> Array:
    """A reduction of each slice, one number a slice."""
    if values.size == 0:
        return np.zeros(1 if axis is None else values.shape[axis])
    others = tuple(k for k in range(values.ndim) if k != axis)
    return np.atleast_1d(function(values, axis=others))


def _spread_out(values: Array, ndim: int, axis: int | None) -> Array:
    """One number a slice, in a shape that broadcasts over the output."""
    return values.reshape([len(values) if k == axis else 1 for k in range(ndim)])


def _named(axis: int, index: int, ndim: int) -> str:
    parts: Iterator[str] = (str(index) if k == axis else ":" for k in range(ndim))
    return f"[{', '.join(parts)}]"
