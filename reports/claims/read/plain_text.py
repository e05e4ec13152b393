"""A README as lines that can be searched: decoded whatever its bytes, marks of Markdown and HTML
removed, line numbers kept. Markdown is read by ``markdown-it-py``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property

from markdown_it import MarkdownIt
from markdown_it.token import Token

from portproof.core.files import open_regular

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

#: A ``*`` is a multiplication here, so ``263.8*4=1055*1`` must not become emphasis; references may
#: be defined anywhere, and a line is read alone.
_INLINE = MarkdownIt().enable("strikethrough").disable("emphasis")
#: Fences, headings and tables lie in lists, quotes and HTML that are badly indented or not closed;
#: they count wherever they are. A line of dashes below text is a rule of its author, no heading.
_BLOCKS = MarkdownIt("commonmark").enable("table")
_BLOCKS.disable(["blockquote", "code", "hr", "html_block", "lheading", "list", "reference"])
_BLOCKS.disable(["inline", "text_join"])
#: More would be tried as links in quadratic time; a line of a README has some ten.
_MOST_BRACKETS = 50
_MARKED = re.compile(r"\]\(|[<~`&\\]")
_TIMES = re.compile(r"乘以?\s*(?=\d)")
_PRODUCT_IS = re.compile(r"(?<=\d)(\s?\*\s?\d{1,3}\s?)(?:即为|等于|得到|为|是|得)\s?(?=\d)")
#: "1,164.0" and "=1,164", but not the list of "bs 1,300.7fps" or "(224,224)".
_THOUSANDS = re.compile(
    r"(?<![A-Za-z0-9_.,])(?<!bs )(?<!batch )\d{1,3}(?:,\d{3}){1,4}"
    r"(?=\.\d|\s?(?:fps|qps|samples?/s|im(?:a)?ge?s?/s)(?![A-Za-z]))(?!\.\d{1,9}[,.]\d)"
    r"|(?<=[=<>])\s?\d{1,3}(?:,\d{3}){1,4}(?![\d,])",
    re.IGNORECASE,
)
_HASHES = re.compile(r"\s{0,3}(#{1,6})(?!#)\s*")
#: Titles are languages; other words behind a fence are prose.
_FENCE = re.compile(r"`{3,}\s{0,3}(?:[A-Za-z{][\x21-\x5f\x61-\x7e ]{0,40})?")
_TABLE_RULE = re.compile(r"[\s|:>\-]+")


def plain(text: str) -> str:
    """One line without full-width signs, struck-out text, links, tags, emphasis and code marks.

    >>> plain("**２６３.８７２**×4＝<b>1055.488</b> ~~1060~~ [x](http://y)")
    '263.872*4=1055.488  x'
    """
    marked = _MARKED.search(text) and text.count("[") <= _MOST_BRACKETS
    text = (_unmarked(text) if marked else text).translate(_TRANSLATION)
    text = _TIMES.sub("*", text).replace("**", "").replace("`", " ")
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text)
    return _PRODUCT_IS.sub(r"\1=", text).strip("\r\n")


def _unmarked(text: str) -> str:
    """The text that a reader of the rendered line sees, without what is struck out."""
    parts, hidden = [], 0
    for token in _INLINE.parseInline(text)[0].children or []:
        if token.type in ("s_open", "s_close") or token.info == "auto":
            hidden += token.nesting
        elif token.type == "html_inline":
            parts.append(" " if token.content[:3].lower() == "<br" else "")
        elif not hidden:
            parts.append(f" {token.content} " if token.type == "code_inline" else token.content)
    return "".join(parts)


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
    def blocks(self) -> list[tuple[Token, int, int]]:
        """The fences, headings and tables, each with its first line and the one after its last."""
        tokens = _BLOCKS.parse("\n".join(map(_repaired, self.raw, ["", *self.raw])))
        return [(token, token.map[0], token.map[1]) for token in tokens if token.map]

    @cached_property
    def fenced(self) -> list[bool]:
        """For each line, whether it lies inside a fenced code block (or is its fence)."""
        inside = [False] * len(self.raw)
        for token, first, end in self.blocks:
            if token.type == "fence":
                inside[first:end] = [True] * len(inside[first:end])
        return inside

    @cached_property
    def tables(self) -> list[tuple[int, int]]:
        """The first line of each Markdown table, and the one after its last; those in code too."""
        spans = [(first, end) for token, first, end in self.blocks if token.type == "table_open"]
        for token, first, _ in self.blocks:
            if token.type == "fence" and "|-" in token.content:
                within = Document(token.content.split("\n")).tables
                spans += [(first + 1 + start, first + 1 + end) for start, end in within]
        return spans

    @cached_property
    def headings(self) -> list[Heading]:
        """The headings outside code blocks, in order."""
        return [
            Heading(first, int(token.tag[1]), self.lines[first].lstrip(" #"))
            for token, first, _ in self.blocks
            if token.type == "heading_open"
        ]

    def headings_above(self, number: int) -> list[Heading]:
        """The headings that enclose a line, the nearest first."""
        path: list[Heading] = []
        for heading in reversed(self.headings):
            if heading.line <= number and (not path or heading.level < path[-1].level):
                path.append(heading)
        return path


def _repaired(line: str, above: str) -> str:
    """A line as its author meant it, where Markdown reads it otherwise: ``##Title``; a fence at the
    end of prose (``bs1: ``` ``) or with marks in its title; the rule of a table with another number
    of columns than its header; prose right below a table, which is no row of it. Nothing is left of
    prose.
    """
    if _HASHES.match(line):
        return _HASHES.sub(r"\1 ", line)
    bare = line.strip(" >\t\r").replace("｜", "|")
    at_an_end = bare.startswith("```") or bare.endswith("```")
    if at_an_end and bare.count("```") % 2 and not _FENCE.fullmatch(bare):
        return "```"
    if bare in ("...", "…") and "|" in above:
        # Rows of a table were left out here.
        return "|...|"
    if is_table_rule(bare) and ("|" in above or "｜" in above):
        return "|-" * len(cells_of(above)) + "|"
    return bare if "|" in bare or bare.startswith(("```", "~~~")) else ""


def cells_of(line: str) -> list[str]:
    """The cells of a table's row, with their Markdown."""
    text = line.replace("\\|", "/").replace("｜", "|").strip().lstrip(">").strip()
    return text.removeprefix("|").removesuffix("|").split("|")


def is_table_rule(line: str) -> bool:
    """Whether the line is the one below the header of a table."""
    return "-" in line and "|" in line and _TABLE_RULE.fullmatch(line.strip()) is not None


def decode(data: bytes) -> str:
    """Text from any bytes: UTF-8, UTF-16 with its mark, GBK; U+FFFD for broken ones."""
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
    """Read a document; :class:`~portproof.core.errors.InputError` when it is no regular file."""
    with open_regular(path, "the README to audit") as file:
        return parse(file.read(MOST_BYTES + 1))
