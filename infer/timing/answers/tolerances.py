"""How far answers that should be equal may be apart: where rounding ends and a fault begins.

Two bounds, the larger of which counts, for each slice of an output. ``floor``: a part of the
slice's own size (root mean square). Kernels that are chosen by batch size sum in another order, so
the low bits change; the error of a sum of n products grows with about the root of n times the unit
roundoff u of the arithmetic (Higham & Mary, SIAM J. Sci. Comput. 41, 2019; u from IEEE 754 and, for
bfloat16, Intel's definition: 2^-24 fp32, 2^-11 fp16, 2^-8 bf16; int8: half of 1/127 of the range).
``share``: a part of the spread, what tells one row from another. What mixes rows up is as large as
that. ``benchmarks/answers.py`` shows what healthy runtimes need.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``floor`` of the slice's size, ``share`` of its spread over strongly different rows."""

    floor: float
    share: float


#: One subject with itself. The floor is some hundred u: deep networks have some ten thousand
#: products a sum. What is not known counts as fp16.
_OWN = {
    "fp32": Tolerance(2e-5, 0.01),
    "fp16": Tolerance(0.02, 0.1),
    "bf16": Tolerance(0.1, 0.25),
    "int8": Tolerance(0.05, 0.25),
}
#: A port and its reference, over all rows together: a port in lower precision is another function.
#: A broken one is as far away as another input's answer, that is a whole spread.
_PORT = {
    "fp32": Tolerance(1e-3, 0.1),
    "fp16": Tolerance(0.05, 0.5),
    "bf16": Tolerance(0.2, 0.7),
    "int8": Tolerance(0.2, 0.7),
}


def own(precision: str) -> Tolerance:
    """For answers of one subject to equal rows."""
    return _OWN.get(precision, _OWN["fp16"])


def port(one: str, other: str) -> Tolerance:
    """For two subjects, by the coarser of their precisions."""
    both = [_PORT.get(p, _PORT["fp16"]) for p in (one, other)]
    return max(both, key=lambda t: t.floor)
