"""Text results: decimal numbers between blanks, parsed many files at a time.

``ais_bench`` and ``benchmark`` write ``%f``: every number has the same few decimals. Such text is
parsed with array operations, an order of magnitude faster than number by number; any other spelling
(exponents, ``nan``, whole numbers) goes the general way, with the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError

#: Together at most 15 digits: an integer that float64 holds exactly.
_MOST_DECIMALS = 8
_MOST_WHOLE_DIGITS = 7
_DOT, _MINUS, _ZERO, _SPACE = b".-0 "
#: Blanks put around a text, so that looking around a dot stays inside.
_PADDING = b" " * (_MOST_DECIMALS + _MOST_WHOLE_DIGITS)

Bytes = NDArray[np.uint8]
Positions = NDArray[np.int64]


def parse_texts(texts: Sequence[bytes], names: Sequence[str]) -> list[NDArray[np.float64]]:
    r"""The numbers of every text, as float64; :class:`InputError` names the text that holds
    something else.

    >>> parse_texts([b"0.500000 -1.250000 \n", b"5e-1 2"], ["a", "b"])
    [array([ 0.5 , -1.25]), array([0.5, 2. ])]
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
        raise InputError(
            f"result '{name}' is not a list of numbers between blanks ({error})"
        ) from error


def _parse_fixed(text: bytes) -> tuple[NDArray[np.float64], Positions] | None:
    """The numbers of a text in which all have the same number of decimals, and where each begins;
    None when it is not of that form.

    A number is its digits read as one integer, divided by a power of ten: both are exact in float64
    and the division rounds once, so the value is that of ``float()``.
    """
    characters = np.frombuffer(_PADDING + text + _PADDING, dtype=np.uint8)
    digits = characters - np.uint8(_ZERO)  # unsigned: whatever is not a digit becomes more than 9
    dots = np.flatnonzero(characters == _DOT) - len(_PADDING)
    decimals = _decimals_after(digits, int(dots[0])) if dots.size else 0
    whole = _whole_parts(digits, dots) if 1 <= decimals <= _MOST_DECIMALS else None
    fraction = _fractions(digits, dots, decimals) if whole else None
    if whole is None or fraction is None:
        return None
    value, lengths = whole
    starts = dots - lengths
    before = _at(characters, starts, -1)
    negative = before == _MINUS
    apart = np.all(negative | (before <= _SPACE)) and np.all(
        _at(characters, dots, decimals + 1) <= _SPACE
    )
    in_numbers = int(np.sum(lengths)) + dots.size * (1 + decimals) + np.count_nonzero(negative)
    if (
        not apart
        or in_numbers != np.count_nonzero(characters > _SPACE)
        or _has_odd_controls(text, characters)
    ):
        return None  # some character belongs to no number of this form
    value *= 10.0**decimals
    value += fraction
    value /= 10.0**decimals
    value *= 1 - 2 * negative.view(np.int8)
    return value, starts


def _has_odd_controls(text: bytes, characters: Bytes) -> bool:
    controls = int(np.count_nonzero(characters < _SPACE))
    return controls != text.count(b"\n") + text.count(b"\r") + text.count(b"\t")


def _at(padded: Bytes, positions: Positions, offset: int) -> Bytes:
    """The character ``offset`` places after each position of the text; a shifted view spares an
    array of shifted positions.
    """
    return padded[len(_PADDING) + offset :].take(positions)


def _decimals_after(digits: Bytes, dot: int) -> int:
    """How many digits follow a dot, up to one more than can be used."""
    first = len(_PADDING) + dot + 1
    following = digits[first : first + _MOST_DECIMALS + 1] > 9
    return int(following.argmax()) if following.any() else _MOST_DECIMALS + 1


def _whole_parts(digits: Bytes, dots: Positions) -> tuple[NDArray[np.float64], Positions] | None:
    """The integer before every dot and its number of digits; None if one has 0 or too many."""
    value = np.zeros(dots.size, dtype=np.int32)
    lengths = np.zeros(dots.size, dtype=np.int64)
    going = np.ones(dots.size, dtype=np.bool_)
    for place in range(_MOST_WHOLE_DIGITS + 1):
        column = _at(digits, dots, -1 - place)
        going &= column <= 9
        if not going.any():
            return value.astype(np.float64), lengths
        if place == 0 and not going.all():
            return None
        value += (column * going) * np.int32(10**place)
        lengths += going
    return None


def _fractions(digits: Bytes, dots: Positions, decimals: int) -> NDArray[np.int32] | None:
    """The integer after every dot, of exactly this many digits; None when one has fewer."""
    odd = (digits > 9).view(np.uint8) * np.uint8(255)
    # Two digits at a time: picking characters out costs more than adding them up beforehand,
    # wherever they are.
    pairs = (digits[:-1] * np.uint8(10) + digits[1:]) | odd[:-1] | odd[1:]
    value = np.zeros(dots.size, dtype=np.int32)
    for place in range(1, decimals, 2):
        column = _at(pairs, dots, place)
        if column.max() > 99:
            return None
        value *= 100
        value += column
    if decimals % 2:
        column = _at(digits, dots, decimals)
        if column.max() > 9:
            return None
        value *= 10
        value += column
    return value
