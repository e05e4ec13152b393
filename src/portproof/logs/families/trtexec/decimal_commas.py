"""Numbers with a decimal comma, where the language of the host's terminal writes them so."""

from __future__ import annotations

import re

#: A number with a unit: with a point, and with a comma, of which the digits behind it are kept.
_POINT = re.compile(r"\d\.\d{1,9}\s?(?:ms|qps|s)\b")
_COMMA = re.compile(r"(?<=\d),(\d{1,9})(?=\s?(?:ms|qps|s)\b)")


class DecimalCommas:
    """What was met in a log so far. Three digits behind a comma may be thousands, until a number
    with other than three was met: then all are decimals. A log with decimal points has no decimal
    commas; one number with a comma was damaged. ``first_here``: the last text made it sure.
    """

    def __init__(self) -> None:
        self.sure = self.first_here = self.points = False

    def as_points(self, text: str) -> str:
        """The text with points for decimal commas.

        >>> DecimalCommas().as_points("mean = 2,5 ms, max = 2,750 ms")
        'mean = 2.5 ms, max = 2.750 ms'
        """
        self.first_here = False
        self.points = self.points or _POINT.search(text) is not None
        if self.points or "," not in text or not (decimals := _COMMA.findall(text)):
            return text
        if not self.sure and any(len(digits) != 3 for digits in decimals):
            self.sure = self.first_here = True
        return _COMMA.sub(r".\1", text) if self.sure else text
