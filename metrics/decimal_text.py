"""Text results: decimal numbers between blanks, parsed many files at a time.

``ais_bench`` and ``benchmark`` write ``%f``: every number has the same few decimals. Such text is parsed with array operations, an order of
magnitude faster than number by number; any other spelling (exponents, ``nan``, whole numbers) goes the general way, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from portproof.errors import InputError

#: Together at most 15 digits: an integer that float64 holds exactly.
_MOST_DECIMALS = 8
_MOST_WHOLE_DIGITS = 7
_DOT, _MINUS, _ZERO, _SPACE = b".-0 "
_BLANKS = b" \t\r\n"

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]


def parse_texts(texts: Sequence[bytes], names: Sequence[str]) -> list[NDArray[np.float64]]:
    r"""The numbers of every text, as float64; :class:`InputError` names the text that holds something else.

    >>> parse_texts([b"0.500000 -1.250000 \n", b"1e-3 2"], ["a", "b"])
    [array([ 0.5 , -1.25]), array([0.001, 2.   ])]
    """
    together = _parse_fixed(b" ".join(texts))
    if together is None:
        return [_parse_any(text, name) for text, name in zip(texts, names, strict=True)]
    values, positions = together
    begins = np.cumsum([len(text) + 1 for text in texts[:-1]])
    return np.split(values, np.searchsorted(positions, begins))


def _parse_any(text: bytes, name: str) -> NDArray[np.float64]:
    try:
        if b"_" in text:  # Python reads 1_000 as a number; here it is damage
            raise ValueError("it has an underscore")
        return np.array(text.split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"result '{name}' is not a list of numbers between blanks ({error})") from error


def _parse_fixed(text: bytes) -> tuple[NDArray[np.float64], Positions] | None:
    """The numbers of a text in which all have the same number of decimals, and where each begins; None when it is not of that form.

    A number is its digits read as one integer, divided by a power of ten: both are exact in float64 and the division rounds once, so the
    value is that of ``float()``.
    """
    padding = b" " * (_MOST_WHOLE_DIGITS + _MOST_DECIMALS)
    characters = np.frombuffer(padding + text + padding, dtype=np.uint8)
    digits = characters - np.uint8(_ZERO)  # unsigned: whatever is not a digit becomes more than 9
    dots = np.flatnonzero(characters == _DOT)
    decimals = _decimals_after(digits, int(dots[0])) if dots.size else 0
    whole = _whole_parts(digits, dots) if 1 <= decimals <= _MOST_DECIMALS else None
    if whole is None:
        return None
    value, starts = whole
    for place in range(1, decimals + 1):
        column = digits[dots + place]
        if column.max() > 9:
            return None
        value *= 10
        value += column
    before = characters[starts - 1]
    negative = before == _MINUS
    apart = np.all(negative | (before <= _SPACE)) and np.all(characters[dots + decimals + 1] <= _SPACE)
    in_numbers = int(np.sum(dots - starts)) + dots.size * (1 + decimals) + np.count_nonzero(negative)
    blanks = sum(int(np.count_nonzero(characters == blank)) for blank in _BLANKS)
    if not apart or in_numbers + blanks != len(characters):
        return None  # some character belongs to no number of this form
    value /= 10.0**decimals
    return np.negative(value, out=value, where=negative), starts - len(padding)


def _decimals_after(digits: Bytes, dot: int) -> int:
    """How many digits follow a dot, up to one more than can be used."""
    following = digits[dot + 1 : dot + 2 + _MOST_DECIMALS] > 9
    return int(following.argmax()) if following.any() else _MOST_DECIMALS + 1


def _whole_parts(digits: Bytes, dots: Positions) -> tuple[NDArray[np.float64], Positions] | None:
    """The integer before every dot and where its digits begin; None when one has no digit or too many."""
    column = digits[dots - 1]
    if column.max() > 9:
        return None
    value = column.astype(np.float64)
    starts = dots - 1
    going = np.arange(dots.size)
    for place in range(1, _MOST_WHOLE_DIGITS + 1):
        column = digits[dots[going] - 1 - place]
        more = column <= 9
        going, column = going[more], column[more]
        if not going.size:
            return value, starts
        value[going] += column * 10.0**place
        starts[going] -= 1
    return None
