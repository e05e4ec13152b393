"""Text from outside in Markdown, CSV and on a terminal: shown as it is, and nothing more."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from portproof.core.text import code_span, csv_field, from_csv_field, markdown, printable

#: Text with much of what means something to Markdown and spreadsheets.
texts = st.text(
    st.one_of(
        st.sampled_from("=+-@'\"\t\r\n ,;|`*_~#<>&[]()!.:\\\u3000＝＋－＠\ufeff\u200b0123a"),
        st.characters(),
    ),
    max_size=24,
)


@given(texts)
@settings(max_examples=500, deadline=None)
def test_a_csv_field_is_read_back_as_it_was(text: str) -> None:
    assert from_csv_field(csv_field(text)) == text


@given(texts, st.sampled_from(["", " ", "\u3000", "\ufeff", "\t ", "\r", "\n", " \u200b"]))
@example("=1+1", "")
@example("＝1+1", " ")
@example("@SUM(A1)", "\u3000")
@settings(max_examples=500, deadline=None)
def test_no_formula_reaches_a_spreadsheet(text: str, before: str) -> None:
    field = csv_field(before + text)
    # As a lenient spreadsheet reads it: blanks and invisible characters skipped, signs of any width.
    seen = "".join(c for c in field if not c.isspace() and unicodedata.category(c)[0] not in "CZ")
    assert unicodedata.normalize("NFKC", seen[:1]) not in ("=", "+", "-", "@")
    assert field[:1] not in ("\t", "\r", "\n")


def test_what_is_no_formula_is_left_alone() -> None:
    for text in ("img_1", "a=b", "1-2", "it's", "", " x", "表.jpg"):
        assert csv_field(text) == text


def shown(document: str) -> str:
    """What a reader sees of a Markdown document, which must hold nothing but text in its only
    paragraph or its only cell; source: CommonMark 0.31 with GitHub's tables and strikethrough, as
    markdown-it-py reads them.
    """
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(document)
    kinds = {t.type for t in tokens}
    assert kinds <= {"paragraph_open", "inline", "paragraph_close"}, (document, kinds)
    (inline,) = (t for t in tokens if t.type == "inline")
    assert {c.type for c in inline.children} <= {"text", "text_special"}, (document, inline)
    return "".join(c.content for c in inline.children)


@given(texts)
@example("- a")
@example("1. a")
@example("---")
@example("![x](y)")
@example("<b>&amp;")
@settings(max_examples=500, deadline=None)
def test_no_markup_survives_in_markdown(text: str) -> None:
    line = printable(" ".join(text.split()))
    if line not in ("", "-"):
        assert shown(markdown(text)) == line
        assert shown(f"before {markdown(text)} after") == f"before {line} after"
    assert "\n" not in markdown(text)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_a_cell_stays_one_cell(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable(["table"])
    tokens = parser.parse(f"| a | b |\n| --- | --- |\n| {markdown(text)} | x |\n")
    cells = [t.content for t in tokens if t.type == "inline"]
    assert len(cells) == 4 and cells[3] == "x", (text, cells)


@given(texts)
@settings(max_examples=300, deadline=None)
def test_a_code_span_ends_where_it_should(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    line = printable(" ".join(text.split()))
    if not line:
        return
    (paragraph,) = (
        t
        for t in markdown_it.MarkdownIt("commonmark").parse(f"x {code_span(text)} y")
        if t.type == "inline"
    )
    assert [(c.type, c.content) for c in paragraph.children] == [
        ("text", "x "),
        ("code_inline", line),
        ("text", " y"),
    ]
