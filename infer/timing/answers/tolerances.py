"""How far answers that should be equal may be apart: where rounding ends and a fault begins.

Two bounds, the larger of which counts, for each slice of an output. ``floor``: a part of the
slice's own size (root mean square). Kernels are chosen by batch size and sum in another order, so
the low bits change. With u the unit roundoff (IEEE 754 and bfloat16: 2^-24 fp32, 2^-11 fp16, 2^-8
bf16), the error of a sum of n products in fp32 grows with the root of n times u (Higham & Mary,
SIAM J. Sci. Comput. 41, 2019): some hundred u for the ten thousand products that deep networks sum.
Half precisions sum in fp32 and round the sum: some u. ``share``: a part of the spread, what tells
one row from another; what mixes rows up is as large as that. int8 with ranges found while it runs
(dynamic quantization) has one range a batch, so its rows influence each other by design, by up to a
fifth of the spread. ``benchmarks/results/answers.md`` has what healthy runtimes need.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``floor`` of the slice's size, ``share`` of its spread over strongly different rows.
    ``flips``: of whole numbers, which rounding turns into others, the part of the rows that may
    differ.
    """

    floor: float
    share: float
    flips: float


#: One subject with itself. What is not known counts as bf16.
_OWN = {
    "fp32": Tolerance(160 * 2**-24, 0.01, 0.0),
    "tf32": Tolerance(8 * 2**-11, 0.1, 0.25),
    "fp16": Tolerance(8 * 2**-11, 0.1, 0.25),
    "bf16": Tolerance(8 * 2**-8, 0.1, 0.25),
    "int8": Tolerance(0.03, 0.3, 0.25),
}
#: A port and its reference, over all rows together. A port in lower precision is another function,
#: so this is loose, and no measure of its accuracy; a broken one is a whole spread away and more,
#: as far as another input's answer.
_PORT = {
    "fp32": Tolerance(1e-4, 0.1, 0.1),
    "tf32": Tolerance(0.05, 0.5, 0.7),
    "fp16": Tolerance(0.05, 0.5, 0.7),
    "bf16": Tolerance(0.2, 0.7, 0.7),
    "int8": Tolerance(0.2, 0.7, 0.7),
}


def arithmetic(precision: str, device: str, provider: str | None) -> str:
    """What decides the rounding: fp32 on a GPU may be TF32, with fp16's unit roundoff, unless the
    runtime says that it is off.
    """
    may_be = (
        precision == "fp32" and device.startswith("cuda") and "TF32 off" not in (provider or "")
    )
    return "tf32" if may_be else precision


def own(precision: str) -> Tolerance:
    """For answers of one subject to equal rows."""
    return _OWN.get(precision, _OWN["bf16"])


def port(one: str, other: str) -> Tolerance:
    """For two subjects, by the coarser of their precisions."""
    both = [_PORT.get(p, _PORT["bf16"]) for p in (one, other)]
    return max(both, key=lambda t: t.floor)
