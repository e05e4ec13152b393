"""A README as lines that can be searched: decoded whatever its bytes, marks of Markdown and HTML
removed, line numbers kept.
"""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass, field
from functools import cached_property

from portproof.core.files import existing_file

#: Real READMEs are below 200 KB. What lies beyond these limits is not read, and the audit says so.
MOST_BYTES = 1 << 19
MOST_LINES = 20_000
LONGEST_LINE = 2_000

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F) if chr(code) not in "＊｜～"}
_SIGNS = {
    ord("＊"): "*",
    ord("×"): "*",
    ord("✖"): "*",
    ord("✕"): "*",
    ord("·"): "·",
    ord("÷"): "/",
    ord("　"): " ",
    ord("\xa0"): " ",
    ord("\t"): " ",
}
_SIGNS |= {
    ord("﹣"): "-",
    ord("–"): "-",
    ord("—"): "-",
    ord("≥"): ">",
    ord("≧"): ">",
    ord("≤"): "<",
    ord("≦"): "<",
    ord("、"): ",",
    ord("\ufeff"): "",
}
_TRANSLATION = _FULL_WIDTH | _SIGNS

_STRUCK = re.compile(r"~~[^~]*~~")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[A-Za-z!][^<>]*>")
_TIMES = re.compile(r"乘以?\s*(?=\d)")
_PRODUCT_IS = re.compile(r"(?<=\d)(\s?\*\s?\d{1,3}\s?)(?:即为|等于|得到|为|是|得)\s?(?=\d)")
_HEADING = re.compile(r"\s{0,3}(#{1,6})\s*(.*)")


def plain(text: str) -> str:
    """One line without full-width signs, struck-out text, links, tags, emphasis and code marks.

    >>> plain("**２６３.８７２**×4＝<b>1055.488</b> ~~1060~~ [x](http://y)")
    '263.872*4=1055.488  x'
    """
    text = html.unescape(text) if "&" in text else text
    text = text.translate(_TRANSLATION)
    text = _LINK.sub(r"\1", _STRUCK.sub("", text))
    text = _TAG.sub("", _BREAK.sub(" ", text))
    text = _TIMES.sub("*", text).replace("**", "")
    return (
        _PRODUCT_IS.sub(r"\1=", text)
        .replace("`", " ")
        .replace("\\_", "_")
        .replace("\\*", "*")
        .strip("\r\n")
    )


@dataclass(frozen=True)
class Heading:
    """A Markdown heading; ``line`` is an index from 0."""

    line: int
    level: int
    text: str


@dataclass
class Document:
    """A document's lines. Indices count from 0 inside the audit; reports add 1."""

    raw: list[str]
    cut: list[tuple[int, str]] = field(default_factory=list)

    @cached_property
    def lines(self) -> list[str]:
        """The lines as :func:`plain` text."""
        return [plain(line) for line in self.raw]

    @cached_property
    def fenced(self) -> list[bool]:
        """For each line, whether it stands inside a fenced code block (or is its fence)."""
        inside, result = False, []
        for line in self.raw:
            # "bs1: ```" at the end of a line of prose is a fence that its author meant.
            bare = line.strip(" >\t\r")
            fence = bare.startswith(("```", "~~~")) or (
                bare.endswith("```") and bare.count("```") % 2 == 1
            )
            result.append(inside or fence)
            inside = inside != fence
        return result

    @cached_property
    def headings(self) -> list[Heading]:
        """The headings outside code blocks, in order."""
        found = []
        for number, line in enumerate(self.lines):
            match = _HEADING.match(line) if "#" in line[:10] and not self.fenced[number] else None
            if match:
                found.append(Heading(number, len(match[1]), match[2]))
        return found

    def headings_above(self, number: int) -> list[Heading]:
        """The headings that enclose a line, the nearest first."""
        path: list[Heading] = []
        for heading in reversed(self.headings):
            if heading.line <= number and (not path or heading.level < path[-1].level):
                path.append(heading)
        return path


def decode(data: bytes) -> str:
    """Text from any bytes: UTF-8, UTF-16 with its mark, GBK; what is none of these keeps U+FFFD in
    place of what is broken.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    for encoding in ("utf-8-sig", "gbk"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("utf-8", errors="replace")


def parse(data: bytes) -> Document:
    """A document from its bytes; never raises."""
    cut: list[tuple[int, str]] = []
    if len(data) > MOST_BYTES:
        # A character may be cut in two at the limit: end at a line where there is one.
        end = data.rfind(b"\n", 0, MOST_BYTES)
        data = data[: end if end > 0 else MOST_BYTES]
        cut.append(
            (1, f"the document is longer than {MOST_BYTES >> 10} KiB: only its beginning was read")
        )
    lines = re.split("\r\n|\n|\r", decode(data))
    if len(lines) > MOST_LINES:
        lines = lines[:MOST_LINES]
        cut.append(
            (MOST_LINES, f"the document has more than {MOST_LINES} lines: the rest was not read")
        )
    for number, line in enumerate(lines):
        if len(line) > LONGEST_LINE:
            lines[number] = line[:LONGEST_LINE]
            cut.append(
                (
                    number + 1,
                    (
                        f"the line is longer than {LONGEST_LINE} characters: only its beginning was"
                        " read"
                    ),
                )
            )
    return Document(lines, cut)


def read(path: str | os.PathLike[str]) -> Document:
    """Read a document; :class:`~portproof.core.errors.InputError` when there is no such file."""
    with open(existing_file(path, "the README to audit"), "rb") as file:
        return parse(file.read(MOST_BYTES + 1))
