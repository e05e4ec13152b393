"""Text that comes from outside (file names, class names, log lines), made safe to print.

Reports escape for their own format (Markdown, HTML, CSV) in their own modules.
"""

from __future__ import annotations


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


_MARKDOWN = {ord(c): f"\\{c}" for c in "\\`*_[]|#~"} | {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
}


def markdown(text: object) -> str:
    r"""Text for Markdown prose or a table cell: nothing in it is markup any more, and it stays on
    its line.

    >>> markdown("a|b <script>")
    'a\\|b &lt;script&gt;'
    """
    return printable(" ".join(str(text).split())).translate(_MARKDOWN)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_field(text: str) -> str:
    """Text for a CSV file that no spreadsheet takes for a formula: an apostrophe stands before what
    would be one. :func:`from_csv_field` takes it away again.

    >>> csv_field("=1+1"), csv_field("img_1"), csv_field("'quoted")
    ("'=1+1", 'img_1', "''quoted")
    """
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


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
