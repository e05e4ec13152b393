"""A port compared with its reference by sample: flips, agreement, loss, verdict."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_bytes
from portproof.core.text import printable
from portproof.metrics.accuracy.score import Reading, is_simulated
from portproof.metrics.paired.bounds import (
    careful_bounds,
    judge_loss,
    mcnemar_p,
    samples_range,
    samples_to_decide,
)
from portproof.metrics.paired.doubt import doubt_of
from portproof.metrics.paired.sides import Sides
from portproof.outcome import Outcomes
from portproof.proof.work import Work
from portproof.verdict import Verdict

#: How many flips are listed.
_FLIPS_SHOWN = 10


class Flip(msgspec.Struct, frozen=True):
    """A sample that the reference gets right and the port wrong. Margins are in the units of each
    side's output, null when infinite.
    """

    id: str
    label: int
    reference_predicted: int
    port_predicted: int
    reference_margin: float | None
    port_margin: float | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a comparison. Accuracies and agreement are fractions, names in ``_pp``
    percentage points, counts samples.

    ``difference_pp`` and ``ci95_pp`` are port minus reference; ``gate_bound_pp`` and
    ``loss_lower_bound_pp`` bound the loss (reference minus port), each one-sided at 95 %.
    ``fixed``: wrong to right, ``broken``: right to wrong. ``samples_to_decide``: null when decided,
    or when no number would; ``samples_range``: its 10th and 90th percentile, as far as these flips
    tell the rates of flips. ``left_out``: samples of the label file that one side or both lack.
    ``doubt``: why the reference is no ground for a verdict, which is UNDECIDED then.
    """

    verdict: Verdict
    reference_accuracy: float
    port_accuracy: float
    difference_pp: float
    ci95_pp: tuple[float, float]
    gate_bound_pp: float
    loss_lower_bound_pp: float
    margin_pp: float
    samples: int
    both_right: int
    both_wrong: int
    fixed: int
    broken: int
    mcnemar_p: float
    agreement: float
    samples_to_decide: int | None
    samples_range: tuple[int | None, int | None] | None = None
    left_out: int
    worst_flips: list[Flip]
    doubt: str | None = None
    reference: str
    port: str
    labels: str
    simulated: bool = False
    schema: Literal["portproof.comparison/1"] = "portproof.comparison/1"

    def to_json(self) -> bytes:
        """The JSON text, indented, with a newline at the end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The figures for people."""
        low, high = self.ci95_pp
        lines = ["REHEARSAL: the results are simulated"] if self.simulated else []
        lines += [
            (
                f"reference {100 * self.reference_accuracy:.2f} %, port"
                f" {100 * self.port_accuracy:.2f} % Top-1 of {self.samples} samples"
            ),
            (
                f"difference {self.difference_pp:+.3f} points, 95 % interval {low:+.3f} to"
                f" {high:+.3f}; agreement {100 * self.agreement:.2f} %"
            ),
            "",
            "                    port right  port wrong",
            f"  reference right   {self.both_right:10d}  {self.broken:10d}",
            (
                f"  reference wrong   {self.fixed:10d}  {self.both_wrong:10d}      McNemar p ="
                f" {self.mcnemar_p:.3g}"
            ),
        ]
        if self.left_out:
            lines.append(f"MISSING: {self.left_out} samples of the label file are in no figure")
        if self.worst_flips:
            lines += [
                "",
                (
                    f"flips from right to wrong, worst first ({len(self.worst_flips)} of"
                    f" {self.broken}):"
                ),
                *map(_flip_text, self.worst_flips),
            ]
        return "\n".join([*lines, "", self._verdict_text()])

    def _verdict_text(self) -> str:
        margin = f"the margin of {self.margin_pp:g} points"
        if self.verdict is Verdict.PASS:
            return (
                f"PASS: the loss is under {self.gate_bound_pp:.3f} points (95 % confidence), within"
                f" {margin}"
            )
        if self.verdict is Verdict.FAIL:
            return (
                f"FAIL: the loss is over {self.loss_lower_bound_pp:.3f} points (95 % confidence),"
                f" beyond {margin}"
            )
        if self.doubt:
            return f"UNDECIDED: {self.doubt}"
        needed = self.samples_to_decide
        more = (
            f"about {needed} samples would decide{self._range_text()}"
            if needed
            else "no number of samples would decide: the observed loss is about the margin"
        )
        return (
            f"UNDECIDED: the loss may be as high as {self.gate_bound_pp:.3f} points, {margin} is"
            f" not proved; {more}"
        )

    def _range_text(self) -> str:
        """How well the number is known: a few flips tell their rate badly."""
        low, high = self.samples_range or (None, None)
        if low is None:
            return ""
        return f" ({low} to {'no number' if high is None else high}, in 8 of 10 cases)"


def _flip_text(flip: Flip) -> str:
    margins = " -> ".join(
        "infinite" if m is None else f"{m:+.4g}" for m in (flip.reference_margin, flip.port_margin)
    )
    return (
        f"  {printable(flip.id)}: label {flip.label}, {flip.reference_predicted} ->"
        f" {flip.port_predicted}, margin {margins}"
    )


def compare(
    reference: str | os.PathLike[str],
    port: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    margin_pp: float = 1.0,
    *,
    reference_reading: Reading | None = None,
    port_reading: Reading | None = None,
    allow_missing: bool = False,
    out: str | os.PathLike[str] | None = None,
    simulated: bool = False,
) -> Comparison:
    """Compare two result folders, or tables of outcomes (``.csv``), of the same samples.

    Pairs by sample id; :class:`InputError` when one side lacks a sample that the other or the label
    file has (unless ``allow_missing``), or for anything that
    :func:`portproof.metrics.accuracy.score.score` refuses. Writes the JSON to ``out``, with its
    sidecar, when given; asked again with the same inputs it says so and returns what it wrote.
    ``simulated``: one side is a rehearsal's, which is also known when its sidecar says so.
    """
    if not 0 < margin_pp < 100:
        raise InputError(
            f"the margin is {margin_pp:g} percentage points, more than 0 and less than 100 was"
            " expected"
        )
    if Path(reference).resolve() == Path(port).resolve():
        progress.warn(
            f"the reference and the port are the same, '{port}': this comparison proves nothing"
        )
    sides = Sides(
        Path(reference),
        Path(port),
        Path(labels),
        reference_reading or Reading(),
        port_reading or Reading(),
        allow_missing,
    )
    simulated = simulated or is_simulated(sides.reference) or is_simulated(sides.port)
    if out is None:
        return _comparison(sides, margin_pp, simulated)
    inputs, parameters = sides.inputs()
    parameters |= {"margin_pp": margin_pp}
    work = Work(
        "compare",
        Path(out),
        inputs=inputs,
        parameters=parameters,
        packages=("numpy",),
        simulated=simulated,
    )
    if work.is_done():
        return msgspec.json.decode(Path(out).read_bytes(), type=Comparison)
    work.begin()
    comparison = _comparison(sides, margin_pp, simulated)
    write_bytes(out, comparison.to_json())
    work.finish([Path(out)], facts={"verdict": comparison.verdict})
    return comparison


def _comparison(sides: Sides, margin_pp: float, simulated: bool) -> Comparison:
    one, other, left_out, classes = sides.paired()
    n = len(one)
    fixed, broken = _count(~one.right & other.right), _count(one.right & ~other.right)
    both_right = _count(one.right & other.right)
    lower, upper = careful_bounds(fixed, broken, n)
    low, high = careful_bounds(fixed, broken, n, confidence=0.975)
    doubt = doubt_of(one, classes)
    verdict = Verdict.UNDECIDED if doubt else judge_loss(fixed, broken, n, margin_pp / 100)
    open_ = verdict is Verdict.UNDECIDED and not doubt
    flips = fixed, broken, n, margin_pp / 100
    return Comparison(
        verdict=verdict,
        reference_accuracy=(both_right + broken) / n,
        port_accuracy=(both_right + fixed) / n,
        difference_pp=100 * (fixed - broken) / n,
        ci95_pp=(-100 * high, -100 * low),
        gate_bound_pp=100 * upper,
        loss_lower_bound_pp=100 * lower,
        margin_pp=margin_pp,
        samples=n,
        both_right=both_right,
        both_wrong=n - both_right - fixed - broken,
        fixed=fixed,
        broken=broken,
        mcnemar_p=mcnemar_p(fixed, broken),
        agreement=_count(one.predicted == other.predicted) / n,
        samples_to_decide=samples_to_decide(*flips) if open_ else None,
        samples_range=samples_range(*flips) if open_ else None,
        left_out=left_out,
        worst_flips=_worst_flips(one, other),
        doubt=doubt,
        reference=str(sides.reference),
        port=str(sides.port),
        labels=str(sides.labels),
        simulated=simulated,
    )


def _count(mask: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(mask))


def _worst_flips(one: Outcomes, other: Outcomes) -> list[Flip]:
    """Right to wrong, those first in which the margin fell most."""
    flips = np.flatnonzero(one.right & ~other.right)
    with np.errstate(invalid="ignore"):  # infinite on both sides: these are listed last
        fall = (one.margin - other.margin)[flips]
    worst: Sequence[int] = flips[np.argsort(-fall, kind="stable")][:_FLIPS_SHOWN].tolist()
    return [
        Flip(
            id=one.ids[i],
            label=int(one.label[i]),
            reference_predicted=int(one.predicted[i]),
            port_predicted=int(other.predicted[i]),
            reference_margin=_finite(one.margin[i]),
            port_margin=_finite(other.margin[i]),
        )
        for i in worst
    ]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
