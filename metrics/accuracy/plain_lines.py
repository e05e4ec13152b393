"""Label lines of the usual spelling, all at once: millions of them are read in a second or two.

What is usual is ASCII, one blank between the name and the class, and no folder in the name.
Anything else is left to the reader of single lines, which says what is wrong with a line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_NEWLINE, _BLANK, _DOT = b"\n ."
#: A class has so many digits at most.
_DIGITS = 9

Columns = tuple[bytes, NDArray[np.int64], NDArray[np.int64]]


def plain_columns(lines: bytes) -> Columns | None:
    r"""The sample ids of whole lines, one after the other, the length of each, and the classes;
    None if a line is not of the usual spelling.

    >>> ids, lengths, classes = plain_columns(b"a.JPEG 3\nb2.x.png 12\n")
    >>> ids, lengths.tolist(), classes.tolist()
    (b'ab2', [1, 2], [3, 12])
    """
    text = np.frombuffer(lines, np.uint8)
    ends, blanks = np.flatnonzero(text == _NEWLINE), np.flatnonzero(text == _BLANK)
    is_usual = lines.endswith(b"\n") and lines.isascii() and b"/" not in lines
    is_usual = is_usual and len(ends) == len(blanks) == np.count_nonzero(text <= _BLANK) - len(ends)
    if not is_usual:
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    dots = np.append(np.flatnonzero(text == _DOT), len(text))
    stops = np.minimum(dots[np.searchsorted(dots, starts)], blanks)
    if not ((starts < stops) & (blanks < ends)).all():
        return None
    classes = _numbers(text, blanks + 1, ends)
    if classes is None:
        return None
    edges = np.zeros(len(text), np.int8)
    edges[starts], edges[stops] = 1, -1
    is_in_id = np.cumsum(edges, dtype=np.int8).view(np.bool_)
    return text[is_in_id].tobytes(), stops - starts, classes


def _numbers(
    text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """The whole numbers that begin and end there; None if one is none."""
    sizes = ends - starts
    if sizes.min() < 1 or sizes.max() > _DIGITS:
        return None
    numbers = np.zeros(len(starts), np.int64)
    for place in range(sizes.max()):
        has_digit = place < sizes
        digits = text[starts[has_digit] + place] - ord("0")
        if (digits > 9).any():
            return None
        numbers[has_digit] = 10 * numbers[has_digit] + digits
    return numbers
