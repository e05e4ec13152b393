"""The HTML page: self-contained, escaped, accessible, and readable in a browser where there
is one.
"""

from __future__ import annotations

import base64
import html.parser
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


class Page(html.parser.HTMLParser):
    """Collects tags with attributes, and checks that they close."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def text(ported: Path, tmp_path_factory: pytest.TempPathFactory, stage: Callable[..., Any]) -> str:
    out = tmp_path_factory.mktemp("html") / "report.html"
    done = stage("reports/html.py", ported, "--out", out)
    assert done.returncode == 0, done.stderr
    return str(out.read_text())


def test_every_tag_is_closed_and_nothing_is_loaded_or_run(text: str) -> None:
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
    assert "url(" not in text and "@import" not in text


def test_every_plot_is_inside_with_its_words(text: str) -> None:
    images = [attributes for tag, attributes in Page(text).tags if tag == "img"]
    assert len(images) == 3
    for image in images:
        assert image["alt"] and len(image["alt"]) > 40
        svg = base64.b64decode(str(image["src"]).partition("base64,")[2])
        assert ET.fromstring(svg).tag.endswith("svg")


def test_it_shows_verdict_figures_commands_and_origins(text: str, ported: Path) -> None:
    for words in (
        "PASS",
        "90.00 %",
        "portproof export",
        "weights.pth",
        "ort/perf.json",
        "figures at full precision",
    ):
        assert words in text


def test_what_comes_from_outside_is_escaped(text: str) -> None:
    assert "a | table &lt;b&gt;" in text
    assert "table <b>" not in text


def test_a_browser_shows_it_without_complaint(ported: Path, tmp_path: Path) -> None:
    browser = next(
        (b for b in ("chromium", "chromium-browser", "google-chrome") if shutil.which(b)), None
    )
    if browser is None:
        pytest.skip("no Chromium on this host")
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--enable-logging=stderr",
        "--v=0",
        f"--user-data-dir={tmp_path}",
        "--dump-dom",
        (ported / "report/report.html").as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0
    assert "What was run" in done.stdout
    assert not re.search(r"CONSOLE.*(Refused|violates|Error)", done.stderr)
