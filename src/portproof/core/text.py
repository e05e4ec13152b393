"""Text that comes from outside (file names, class names, log lines), made safe to print.

Markdown and CSV are escaped here and nowhere else; HTML by the standard library.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable


def printable(text: str) -> str:
    r"""Control characters, terminal escapes, bidirectional overrides and lone surrogates made
    visible, so that a hostile name cannot repaint a terminal.

    >>> printable("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> printable("表.jpg")
    '表.jpg'
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def listed(names: list[str], most: int = 5) -> str:
    """A short list for an error sentence: the first few names and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(printable(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def said_once(sentences: Iterable[str]) -> list[str]:
    """Sentences that differ in nothing but numbers said once, the first of them, with how many more
    there are.

    >>> said_once(["a, batch 1: 7 %", "b: 3 %", "a, batch 4: 9 %"])
    ['a, batch 1: 7 % (and 1 more like it)', 'b: 3 %']
    """
    alike: dict[str, list[str]] = {}
    for sentence in sentences:
        alike.setdefault(_NUMBER.sub("#", sentence), []).append(sentence)
    return [
        first + (f" (and {len(others)} more like it)" if others else "")
        for first, *others in alike.values()
    ]


_NUMBER = re.compile(r"\d[\d.]*")
_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_[]|#~"} | {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
}
#: What begins a list, a rule or a heading at the start of a line, beside what is escaped anyway. A
#: dash alone, which cells have for what was not measured, is left as it is.
_BLOCK_START = re.compile(r"^(?:(?!-$)[-+=](?=[\s=-]|$)|\d{1,9}(?=[.)](?:\s|$)))")


def markdown(text: object) -> str:
    r"""Text for Markdown prose or a table cell: nothing in it is markup any more, and it stays on
    its line.

    >>> markdown("a|b <script>"), markdown("- 1. x"), markdown("1. x"), markdown("-0.5")
    ('a\\|b &lt;script&gt;', '\\- 1. x', '1\\. x', '-0.5')
    """
    line = printable(" ".join(str(text).split())).translate(_MARKDOWN)
    start = _BLOCK_START.match(line)
    if start is None:
        return line
    mark = start.end() if line[0].isdigit() else 0
    return f"{line[:mark]}\\{line[mark:]}"


def csv_field(text: str) -> str:
    """Text for a CSV file that no spreadsheet takes for a formula: what would be one gets an
    apostrophe in front. :func:`from_csv_field` takes it away again.

    Spreadsheets skip blanks before a formula, and some read full-width signs as the plain ones
    (OWASP, "CSV Injection").

    >>> csv_field("=1+1"), csv_field("img_1"), csv_field("'quoted"), csv_field(" ＝1")
    ("'=1+1", 'img_1', "''quoted", "' ＝1")
    """
    if text[:1].isalnum() and text.isascii():
        return text  # nearly all there are, and there may be millions
    first = next((c for c in text if c.isprintable() and not c.isspace()), "")
    is_formula = unicodedata.normalize("NFKC", first)[:1] in ("=", "+", "-", "@")
    return f"'{text}" if is_formula or text.startswith(("\t", "\r", "\n", "'")) else text


def from_csv_field(text: str) -> str:
    """What :func:`csv_field` was given.

    >>> from_csv_field("'=1+1"), from_csv_field("it's")
    ('=1+1', "it's")
    """
    return text[1:] if text.startswith("'") else text


def code_span(text: object) -> str:
    """Text as a Markdown code span that its own backquotes cannot end.

    >>> code_span("a`b")
    '`` a`b ``'
    """
    line = printable(" ".join(str(text).split()))
    if "`" not in line:
        return f"`{line}`"
    fence = "`" * (
        max(len(run) for run in "".join(c if c == "`" else " " for c in line).split()) + 1
    )
    return f"{fence} {line} {fence}"
