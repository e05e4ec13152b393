"""The HTML page: self-contained, escaped, accessible, and readable in a browser where there
is one.
"""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.metrics.paired.compare import compare
from portproof.outcome import read_outcomes, write_outcomes
from portproof.reports.page.flips import class_rows, write_flips
from portproof.reports.page.html_page import html_page, sources_of
from portproof.reports.port.data import read_run
from portproof.reports.port.document import words_of
from portproof.reports.port.figures import figures_of
from portproof.reports.port.sentences import translated


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


def test_every_tag_is_closed_and_nothing_is_loaded(text: str) -> None:
    page = Page(text)
    assert page.open == []
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "link", "base", "form")
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in text and "@import" not in text


def test_only_the_page_s_own_script_may_run(text: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (a["content"] for t, a in Page(text).tags if a.get("http-equiv"))
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert str(policy).startswith("default-src 'none';")


def test_every_chart_has_its_words_and_every_mark_its_value(text: str) -> None:
    charts = re.findall(r"<svg .*?</svg>", text, re.DOTALL)
    assert len(charts) >= 2
    for chart in charts:
        root = ET.fromstring(chart)
        assert root.attrib["role"] == "img"
        assert len(root.attrib["aria-label"]) > 10
        for mark in [
            *root.iter("circle"),
            *(g for g in root.iter("g") if "box" in g.attrib["class"]),
        ]:
            assert mark.findtext("title")


def test_it_shows_verdict_figures_commands_and_origins(text: str) -> None:
    for words in ("PASS", "90.00 %", "portproof export", "weights.pth", "ort/perf.json"):
        assert words in text


def test_every_link_of_a_number_leads_to_its_file_line_and_hash(text: str, ported: Path) -> None:
    page = Page(text)
    rows = {a["id"] for t, a in page.tags if t == "tr" and "id" in a}
    links = [str(a["href"])[1:] for t, a in page.tags if t == "a" and a.get("class") == "num"]
    assert len(links) > 20
    assert set(links) <= rows
    data = read_run(ported)
    sources = sources_of(data)
    timed = 0
    for figure in figures_of(data):
        line, digest = sources[figure.id]
        content = (ported / figure.file).read_bytes()
        assert hashlib.sha256(content).hexdigest().startswith(digest)
        if line is None:
            continue
        text_there = content.decode().splitlines()[line - 1]
        name = figure.id.split("/")
        if name[1] == "perf" and len(name) == 6:
            timed += 1
            assert f'"label":"{name[2]}"' in text_there
            assert f'"batch":{name[3].removeprefix("bs")},' in text_there
        elif name[1] == "compare":
            assert f'"{name[-1]}"' in text_there
    assert timed > 10


def test_flips_have_their_pictures_and_classes_their_names(ported: Path, tmp_path: Path) -> None:
    shutil.copytree(ported.parent, tmp_path / "port")
    run = tmp_path / "port" / ported.name
    path = run / "ort/bs2/outcomes.csv"
    found = read_outcomes(path)
    broken = np.flatnonzero(found.right)[:2]
    found.rank[broken] = 2
    found.predicted[broken] = (found.label[broken] + 1) % 3
    found.margin[broken] = -0.5
    write_outcomes(path, found)
    labels = tmp_path / "port/labels.txt"
    reference = run / "eager/bs2/outcomes.csv"
    (run / "compare.json").write_bytes(compare(reference, path, labels, 20.0).to_json())
    for card in (run / "report/card.yaml", tmp_path / "port/colours.yaml"):
        card.write_text(card.read_text() + "class_names: [red, <green>, blue]\n")
    data = read_run(run)
    write_flips(data)
    page = html_page(data)
    names = [found.ids[i] for i in broken]
    for name in names:
        assert (run / f"report/flips/ort/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert f'alt="{name}"' in page
    assert page.count("data:image/png;base64,") == 2
    assert "1 &lt;green&gt;" in page
    assert "<green>" not in page
    before = data.outcomes("eager", 2)
    assert before is not None
    for row in class_rows(data, "ort"):
        index = int(row["name"].split()[0])
        mine = before.label == index
        assert row["samples"] == int(mine.sum())
        assert row["reference"] - row["port"] == sum(int(before.label[i]) == index for i in broken)


def test_every_reason_and_remark_is_said_in_the_report_s_language(ported: Path) -> None:
    words = words_of("zh")
    for gate in read_run(ported).judgement.gates:
        for part in re.split(r"; |；", translated(gate.reason, words)):
            assert re.search("[\u4e00-\u9fff]", part) or not re.search(
                r"[a-z]{4,} [a-z]{3,}", part
            ), part
    chinese = (ported / "report/README.zh.md").read_text()
    assert "warning:" not in chinese
    assert "the loss is under" not in chinese


def test_what_comes_from_outside_is_escaped(text: str) -> None:
    assert "a | table &lt;b&gt;" in text
    assert "table <b>" not in text


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium of this host, under Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium on this host")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser: Any, run_dir: Path, width: int, colours: str) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda r: said.append(r.url) if r.url.startswith("http") else None)
    page.goto((run_dir / "report/report.html").as_uri())
    return page, said


@pytest.mark.parametrize(("width", "colours"), [(1280, "light"), (390, "light"), (390, "dark")])
def test_a_browser_shows_it_without_complaint(
    ported: Path, browser: Any, width: int, colours: str
) -> None:
    page, said = opened(browser, ported, width, colours)
    for language in ("en", "zh"):
        page.click(f"button[data-language={language}]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        seen = page.inner_text("main")
        assert ("95 % 置信区间" in seen) == (language == "zh")
        assert ("95 % interval" in seen) == (language == "en")
    assert said == []


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_no_barrier(ported: Path, browser: Any, colours: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core here")
    page, _ = opened(browser, ported, 1280, colours)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_tables_sort_by_keyboard(ported: Path, browser: Any) -> None:
    page, _ = opened(browser, ported, 1280, "light")
    head = page.locator("table.sortable").first.locator("th").nth(1)
    column = "[...document.querySelector('table.sortable').tBodies[0].rows].map(r => +r.cells[1].dataset.value)"
    rates = page.evaluate(column)
    for order, reverse in (("ascending", False), ("descending", True)):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == order
        assert page.evaluate(column) == sorted(rates, reverse=reverse)


def test_a_number_opens_its_row(ported: Path, browser: Any) -> None:
    page, _ = opened(browser, ported, 1280, "light")
    page.locator("a.num").first.click()
    target = page.evaluate("decodeURIComponent(location.hash.slice(1))")
    assert page.evaluate("id => document.getElementById(id).closest('details').open", target)
