"""The fields of a protocol buffer message, one by one, without its description.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT, _SIZED, _FOUR = 0, 1, 2, 5
#: A number has 64 bits at most, which are ten groups of seven.
_LONGEST = 10


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number of the field, its value), in the order of the message: an integer, or the bytes of a
    text, a message or packed numbers. :class:`ValueError` for bytes that are no message.
    """
    at = 0
    while at < len(data):
        key, at = _number(data, at)
        field, kind = key >> 3, key & 7
        if not field:
            raise ValueError("a field has the number 0")
        if kind == _VARINT:
            value, at = _number(data, at)
            yield field, value
            continue
        if kind == _SIZED:
            size, at = _number(data, at)
        elif kind in (_EIGHT, _FOUR):
            size = 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"a field has the wire type {kind}")
        if size > len(data) - at:
            raise ValueError(f"a field of {size} bytes goes beyond the end")
        yield field, data[at : at + size]
        at += size


def numbers(value: int | bytes) -> list[int]:
    """The numbers of a repeated field: packed, or one of them.

    >>> numbers(bytes([1, 0x80, 1])), numbers(7)
    ([1, 128], [7])
    """
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _number(value, at)
        found.append(number)
    return found


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A varint and where it ends."""
    value = 0
    for shift in range(_LONGEST):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << (7 * shift)
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
    raise ValueError("a number does not end")
