"""Text of logs, from any tool, terminal or operating system, a block at a time, so that memory does
not grow with the file.

Handles UTF-8, UTF-16 (with or without a byte-order mark), colours, CRLF and carriage-return
progress bars. Bytes that are not UTF-8 (GBK comments, a cut character) become U+FFFD: every figure
and keyword of every tool is ASCII.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from portproof.core.errors import InputError

BLOCK = 1 << 20

#: An unsigned number that is whole: not followed by more of a number (``1.2.3``, ``2.8e+`` cut
#: off).
NUMBER = r"(?<![\w.])[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?(?![0-9.]|[eE](?:[-+0-9]|$))"

_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")


def finite(text: str | None) -> float | None:
    """A printed number as a float; None for no text, and for one that is greater than any float.

    >>> finite("2.5"), finite("1e400"), finite(None)
    (2.5, None, None)
    """
    value = float(text) if text is not None else math.inf
    return value if math.isfinite(value) else None


class Line(NamedTuple):
    """A line, or a carriage-return segment of it. ``number`` from 1; ``cut``: no line end."""

    number: int
    text: str
    cut: bool


class TextBlock(NamedTuple):
    """Whole lines of a file. ``first``: the number of its first line; ``last``: it ends here."""

    first: int
    text: str
    last: bool


def blocks(file: IO[bytes], name: str) -> Iterator[TextBlock]:
    """An open file's text in blocks of about 1 MiB that end at a newline (a longer line is split);
    :class:`InputError` if it is binary.
    """
    first, rest = 1, ""
    head = file.read(BLOCK)
    decoder = codecs.getincrementaldecoder(encoding_of(head, name))(errors="replace")
    while head:
        text = (
            rest + _ESCAPE.sub("", decoder.decode(head))
            if b"\x1b" in head
            else rest + decoder.decode(head)
        )
        head = file.read(BLOCK)
        end = text.rfind("\n") + 1 if head else len(text)
        end = end or max(text.rfind("\r") + 1, len(text) if len(text) > BLOCK else 0)
        rest, text = text[end:], text[:end]
        if text:
            yield TextBlock(first, text, not head)
            first += text.count("\n")


def offered(block: TextBlock, marks: dict[str, int]) -> Iterator[tuple[Line, int]]:
    """The lines of a block that hold a mark, in order, each with the OR of the bits of its marks.

    Finding marks in the whole block costs a tenth of looking at each line, and logs are mostly
    lines that no one wants.
    """
    text, hits = block.text, dict[int, int]()
    for mark, bits in marks.items():
        at = text.find(mark)
        while at >= 0:
            start = text.rfind("\n", 0, at) + 1
            hits[start] = hits.get(start, 0) | bits
            end = text.find("\n", at)
            at = text.find(mark, end) if end >= 0 else -1
    number, before = block.first, 0
    for start in sorted(hits):
        number += text.count("\n", before, start)
        before = start
        end = text.find("\n", start)
        cut = block.last and end < 0
        raw = text[start : end if end >= 0 else len(text)]
        for segment in raw.split("\r") if "\r" in raw else (raw,):
            if segment:
                yield Line(number, segment, cut), hits[start]


def encoding_of(head: bytes, name: str) -> str:
    """The encoding of a file that begins with ``head``; :class:`InputError` for binary content."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    sample = head[:4096]
    if b"\0" in sample:
        # UTF-16 text without a mark: every second byte of ASCII is zero.
        for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if (
                sample[offset::2].count(0) > 0.8 * len(sample[offset::2])
                and sample[1 - offset :: 2].count(0) == 0
            ):
                return encoding
        raise InputError(f"'{name}' is a binary file, the text of a log was expected")
    return "utf-8-sig"
