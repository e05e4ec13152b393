"""Markdown as authors of port reports write it, which is often not what CommonMark reads."""

from __future__ import annotations

import pytest

from portproof.reports.claims.audit import audit_document
from portproof.reports.claims.read.grids import grids
from portproof.reports.claims.read.plain_text import parse, plain

WRONG = "263.872x4=1155.488"
TABLE = "| bs | 310P |\n|---|---|\n| 1 | 100.5 |\n| 4 | 200.5 |\n| 8 | 150.5 |\n| best | 150.5 |\n"


def lines_found(text: str) -> list[int]:
    return [f.line for f in audit_document(parse(text.encode()), "x").contradictions]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**263.872**×4=1055.488", "263.872*4=1055.488"),
        ("263.872*4=1055.488*1", "263.872*4=1055.488*1"),  # a product is no emphasis
        ("~~1060~~ 1055.488", " 1055.488"),
        ("310P:1203<T4:900 and 5>3", "310P:1203<T4:900 and 5>3"),  # a comparison is no tag
        ("2\\*3 a\\_b &lt;5 &amp;", "2*3 a_b <5 &"),
        ("![batch1](a.png) [310P](http://x/y?a=1)", "batch1 310P"),
        ("<a href='x'>12.5</a><br/>fps", "12.5 fps"),
        ("`263.872`", " 263.872 "),
    ],
)
def test_marks_are_removed_and_signs_are_kept(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("fence", "after"),
    [
        ("```\ncode\n```\n", False),
        ("```shell\ncode\n```\n", False),
        ("bs1: ```\ncode\n```\n", False),  # a fence at the end of prose
        ("```${chip} with `npu-smi`\ncode\n```\n", False),  # no title may hold a mark
        ("   > ```\ncode\n   > ```\n", False),
        ("- item\n\n          ```\ncode\n          ```\n", False),
        ("```\ncode\n```。\n", False),
        ("````\n```\ncode\n```\n````\n", False),
        ("```\ncode\n", True),  # never closed
    ],
)
def test_what_is_code(fence: str, after: bool) -> None:
    document = parse((fence + "prose\n").encode())
    assert document.fenced[document.raw.index("code")]
    assert document.fenced[document.raw.index("prose")] == after


def test_headings_need_no_blank_and_are_none_in_code() -> None:
    document = parse(b"##6.1 310P\n```\n# comment\n```\n<div>\n### T4\ntext\n---\n")
    assert [(h.line, h.level, h.text) for h in document.headings] == [
        (0, 2, "6.1 310P"),
        (5, 3, "T4"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        f"```\n{TABLE}```\n",
        f"<div>\n{TABLE}",
        "".join(f"> {line}\n" for line in TABLE.splitlines()),
        "".join(f"        {line}\n" for line in TABLE.splitlines()),
        TABLE.replace("|---|---|", "|---|"),
        TABLE.replace("|---|---|", "|-|-|-|-|"),
        TABLE.replace("|", "｜"),
        TABLE + "\nTwo tables, prose right below the first:\n" + TABLE + "prose\n" + TABLE,
    ],
)
def test_tables_are_read_wherever_they_are(text: str) -> None:
    first, *others = grids(parse(text.encode()))
    for grid in (first, *others):
        assert [cell.text for cell in grid.rows[-1]] == ["best", "150.5"]
    best = [n for n, line in enumerate(text.splitlines(), start=1) if "best" in line]
    assert [grid.rows[-1][0].line + 1 for grid in (first, *others)] == best
    assert lines_found(text) == best


def test_findings_name_the_line_of_the_file() -> None:
    assert lines_found(f"# a\n\n```\nx\n```\n\n<br>\n\n> {WRONG}\n") == [9]
