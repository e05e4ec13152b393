"""Values of a report for people. Rounding is done here, once, and nowhere before."""

from __future__ import annotations

import math
from typing import Any

from portproof.core.text import printable


def one_line(text: object) -> str:
    """Text for a line of a code block."""
    return printable(" ".join(str(text).split()))


def fill(sentence: str, **values: object) -> str:
    """A sentence of the words with its gaps filled. Escape the values first."""
    return sentence.format(**values)


def percent(fraction: float | None, digits: int = 2) -> str:
    """A fraction for people, in percent; a dash when it is not there.

    >>> percent(0.98567)
    '98.57 %'
    """
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def given(value: float | None) -> str:
    """A percentage as its source prints it; a dash when it gives none."""
    return "-" if value is None else f"{value:g} %"


def rate(value: float | None) -> str:
    """Images per second with four significant digits; a dash when it is not there.

    >>> rate(12345.6), rate(0.01234), rate(None)
    ('12350', '0.01234', '-')
    """
    if value is None:
        return "-"
    return (
        f"{float(f'{value:.4g}'):.{max(0, 3 - math.floor(math.log10(value)))}f}"
        if value > 0
        else "0"
    )


def milliseconds(seconds: float | None) -> str:
    """Seconds in milliseconds with four significant digits; a dash if it is not there."""
    return "-" if seconds is None else rate(1000 * seconds)


def stated(value: float | None, unit: str) -> str:
    """A figure of a task: a share in percent, another with its unit; a dash when it is not defined.

    >>> stated(0.3712, "1"), stated(31.2571, "dB"), stated(None, "1")
    ('37.12 %', '31.26 dB', '-')
    """
    if value is None or unit == "1":
        return percent(value)
    return f"{value:.4g} {unit}"


def stated_change(value: float | None, unit: str, sign: str = "") -> str:
    """A difference, bound or margin of such figures: of shares in percentage points.

    >>> stated_change(-0.0021, "1", "+"), stated_change(0.5, "dB")
    ('-0.210 pp', '0.5 dB')
    """
    if value is None:
        return "-"
    value += 0.0  # no minus in front of zero
    return f"{100 * value:{sign}.3f} pp" if unit == "1" else f"{value:{sign}.4g} {unit}"


#: What templates call by name.
FORMATTERS: dict[str, Any] = {
    made.__name__: made
    for made in (percent, rate, milliseconds, fill, given, stated, stated_change)
}
