"""Printed figures: their value, and how far their last printed digit reaches."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from portproof.reports.claims.agreement import Agreement, graded

#: A decimal number as people and tools print it; never a part of a longer word or version number.
NUMBER = r"\d{1,15}(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?"

#: Differences that careful readers of such documents do not call errors (digit slips, a value
#: rounded by hand), as fractions.
RESTATED = 0.005
OTHER_RUN = 0.01
#: No figure of a report is beyond these, and products of some within them are floats.
_LEAST, _MOST = 1e-15, 1e18
RATIO = 0.01


@dataclass(frozen=True)
class Printed:
    """A number as printed. ``ulp`` is the weight of its last printed digit."""

    text: str
    value: float
    ulp: float

    @property
    def digits(self) -> int:
        """Significant digits printed, leading zeros not counted.

        >>> as_printed("0.0620").digits
        3
        """
        mantissa = re.split("[eE]", self.text)[0]
        return len(mantissa.replace(".", "").lstrip("0"))

    @property
    def slack(self) -> float:
        """Half a last digit, as a fraction of the value: rounding. Whole numbers are exact."""
        return 0.5 * self.ulp / abs(self.value) if self.value and "." in self.text else 0.0


def as_printed(text: str) -> Printed:
    """Read a printed number that :data:`NUMBER` matched.

    >>> as_printed("3.120e2")
    Printed(text='3.120e2', value=312.0, ulp=0.1)
    """
    mantissa, _, exponent = text.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    value = float(text)
    ulp = float(f"1e{int(exponent or 0) - decimals}")
    return Printed(text, value if _LEAST < value < _MOST else 0.0, ulp)


def deviation(stated: float, derived: float) -> float:
    """How far the stated value is from the derived one, as a fraction of the derived one."""
    if derived == 0 or not math.isfinite(derived):
        return 0.0 if stated == derived else math.inf
    return abs(stated / derived - 1)


def same(stated: Printed, derived: float, slack: float = 0.0) -> bool:
    """Whether the figure is ``derived`` rounded or truncated at the printed precision.

    ``slack`` is the fraction that the operands' own rounding leaves open. Tools print six digits,
    so a millionth is always allowed.

    >>> [same(as_printed(text), 1.43656) for text in ("1.436", "1.44", "1.42")]
    [True, True, False]
    """
    return abs(stated.value - derived) <= stated.ulp * 1.001 + abs(derived) * (slack + 1e-6)


def judge(stated: Printed, derived: float, tolerance: float, slack: float = 0.0) -> Agreement:
    """The verdict on a stated figure for which one value follows."""
    return graded(
        same(stated, derived, slack), deviation(stated.value, derived) <= tolerance + slack
    )


def shown(value: float) -> str:
    """A derived value for the report, with seven significant digits."""
    return f"{value:.7g}"
