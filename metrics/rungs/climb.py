"""From rung to rung: flips, paired loss, and whether rounding explains what changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError, ToolError
from portproof.manifest import Sample
from portproof.metrics.accuracy.score import judge
from portproof.metrics.layerwise.noise import MOST_EXPLAINED
from portproof.metrics.outputs.judge import ALLOWED
from portproof.metrics.outputs.ruler import rounded_outputs
from portproof.metrics.paired.bounds import careful_bounds, mcnemar_p
from portproof.metrics.rungs.answers import Answers

#: The error that rounding of a precision explains where no ONNX file is there to measure it:
#: what classifiers of fifty layers lose (``benchmarks/results/outputs.md``), rounded up.
WITHOUT_RULER = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 4e-2, "int8": 0.1}
_RULER_SAMPLES = 16


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A rung against another. ``flips``: samples whose class changes; ``broken`` and ``fixed``:
    right to wrong and back; ``loss_pp``: what accuracy loses, in percentage points, with its 95 %
    interval. Null without labels. ``error``: relative, of all numbers; ``allowed``: as much of it
    as rounding explains. Null where the numbers are no longer those of the rung before.
    """

    against: str
    flips: int
    broken: int | None
    fixed: int | None
    loss_pp: float | None
    ci95_pp: tuple[float, float] | None
    mcnemar_p: float | None
    error: float | None
    allowed: float | None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One rung. ``before`` and ``first``: against the rung before it, and the first one."""

    label: str
    source: str
    precision: str
    rehearsal: bool
    accuracy: float | None
    before: Step | None
    first: Step | None
    at_fault: bool
    why: str


@dataclass(frozen=True)
class Ruler:
    """What rounding to a precision explains: measured on the ladder's ONNX file, if it has one."""

    model: Path | None
    samples: Sequence[Sample]

    def explains(self, precision: str) -> float:
        """The relative error of the rounded model's outputs."""
        if self.model is None or not self.samples:
            return WITHOUT_RULER[precision]
        count = min(_RULER_SAMPLES, len(self.samples))
        chosen = [self.samples[i * len(self.samples) // count] for i in range(count)]
        gap = norm = 0.0
        try:
            for _, plain, noisy in rounded_outputs(self.model, chosen, precision):
                a, b = plain[0].astype(np.float64), noisy[0].astype(np.float64)
                gap += float(np.sum((a - b) ** 2))
                norm += float(np.sum(a * a))
        except ToolError:  # rounding changes nothing: a model of few exact numbers
            return WITHOUT_RULER["fp32"]
        error = math.sqrt(gap / norm) if norm else math.inf
        if not math.isfinite(error):
            return WITHOUT_RULER[precision]
        return min(max(error, WITHOUT_RULER["fp32"]), MOST_EXPLAINED)


def climb(answers: Sequence[Answers], truth: Mapping[str, int] | None, ruler: Ruler) -> list[Found]:
    """Judge every rung. A rung is at fault if rounding explains neither its change from the rung
    before nor that from the first: a rung that is sound again after a faulty one is not.
    """
    noise = {p: ruler.explains(p) for p in dict.fromkeys(a.rung.precision for a in answers)}
    labels = _labels(answers[0], truth)
    first = answers[0]
    found: list[Found] = []
    for at, rung in enumerate(answers):
        values = rung.like(first)
        accuracy = None if labels is None else float(np.mean(_right(values, labels)))
        steps = [
            _step((rung, values), (other, other.like(first)), labels, noise) if at else None
            for other in (answers[max(0, at - 1)], first)
        ]
        fault, why = _fault(values, rung, steps)
        found.append(
            Found(
                label=rung.rung.label,
                source=rung.rung.source,
                precision=rung.rung.precision,
                rehearsal=rung.simulated,
                accuracy=accuracy,
                before=steps[0],
                first=steps[1],
                at_fault=fault,
                why=why,
            )
        )
    return found


def _labels(first: Answers, truth: Mapping[str, int] | None) -> Array | None:
    if truth is None:
        return None
    absent = [name for name in first.ids if name not in truth]
    if absent:
        raise InputError(
            f"the label file lacks {len(absent)} of {len(first.ids)} samples, the first is"
            f" '{absent[0]}'"
        )
    labels = np.array([truth[name] for name in first.ids], np.int64)
    classes = first.values.shape[1]
    if labels.max(initial=0) >= classes:
        raise InputError(f"a label is {labels.max()}, the rungs answer {classes} classes")
    return labels


def _right(values: Array, labels: Array) -> Array:
    right: Array = judge(np.nan_to_num(values, nan=-np.inf), labels)[1] == 1
    return right


def _step(
    one: tuple[Answers, Array],
    two: tuple[Answers, Array],
    labels: Array | None,
    noise: Mapping[str, float],
) -> Step:
    """A rung and its numbers against another's, in one order."""
    (rung, values), (other, reference) = one, two
    changed = _classes(values) != _classes(reference)
    same_scale = not rung.rung.changes_scale and not other.rung.changes_scale
    broken = fixed = None
    loss = interval = p = None
    if labels is not None:
        was, now = _right(reference, labels), _right(values, labels)
        broken, fixed, n = int(np.sum(was & ~now)), int(np.sum(~was & now)), len(labels)
        loss = 100 * (broken - fixed) / n
        low, high = careful_bounds(fixed, broken, n, 0.975)
        interval, p = (100 * low, 100 * high), mcnemar_p(fixed, broken)
    kinds = {rung.rung.precision, other.rung.precision}
    return Step(
        against=other.rung.label,
        flips=int(np.sum(changed & ~_tied(reference) & ~_tied(values))),
        broken=broken,
        fixed=fixed,
        loss_pp=loss,
        ci95_pp=interval,
        mcnemar_p=p,
        error=_error(values, reference) if same_scale else None,
        allowed=ALLOWED * math.hypot(*(noise[kind] for kind in kinds)) if same_scale else None,
    )


def _classes(values: Array) -> Array:
    classes: Array = np.nan_to_num(values, nan=-np.inf).argmax(axis=1)
    return classes


def _tied(values: Array) -> Array:
    """Samples whose two largest numbers are equal: their class is no answer."""
    two = np.sort(np.nan_to_num(values, nan=-np.inf), axis=1)[:, -2:]
    tied: Array = two[:, 0] == two[:, 1]
    return tied


def _error(values: Array, reference: Array) -> float | None:
    a, b = reference.astype(np.float64), values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        gap = float(np.linalg.norm(a - b))
    norm = float(np.linalg.norm(a))
    if not math.isfinite(gap) or not math.isfinite(norm):
        return None
    return gap / norm if norm else (0.0 if gap == 0 else math.inf)


def _fault(values: Array, rung: Answers, steps: Sequence[Step | None]) -> tuple[bool, str]:
    before, first = steps
    if before is None or first is None:
        return False, "the first rung"
    lost = int(np.sum(~np.isfinite(values).all(axis=1) & ~np.isneginf(values).any(axis=1)))
    if lost:
        return True, f"{lost} samples hold numbers that are not finite"
    if rung.rung.changes_scale or before.error is None or before.allowed is None:
        if before.flips:
            return True, f"{before.flips} samples change their class, none was expected to"
        return False, "no sample changes its class"
    text = f"its numbers change by {before.error:.2g}, rounding explains {before.allowed:.2g}"
    over = before.error > before.allowed
    known = first.error is not None and first.allowed is not None
    if over and known and (first.error or 0.0) <= (first.allowed or 0.0):
        return False, f"{text}, but it agrees with the first rung ({first.error:.2g})"
    return over, text
