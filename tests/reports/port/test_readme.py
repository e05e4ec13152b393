"""The README of a port: chapters, commands and figures from the run directory, and updating in
place.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.reports.port.blocks import blocks_in, updated

Command = Callable[..., subprocess.CompletedProcess[str]]

CHAPTERS = {
    "zh": [
        "1 模型概述",
        "2 环境说明",
        "3 模型转换",
        "4 数据集预处理",
        "5 离线推理",
        "6 精度对比",
        "7 性能对比",
    ],
    "en": [
        "1 Model overview",
        "2 Environment",
        "3 Model conversion",
        "4 Data preprocessing",
        "5 Offline inference",
        "6 Accuracy",
        "7 Performance",
    ],
}


@pytest.fixture(scope="module")
def readmes(
    ported: Path, stage: Command, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    folder, texts = tmp_path_factory.mktemp("readme"), {}
    for name, arguments in (
        ("en", ["--lang", "en"]),
        ("zh", ["--lang", "zh"]),
        ("modelzoo", ["--lang", "zh", "--template", "modelzoo"]),
    ):
        done = stage("reports/readme.py", ported, *arguments, "--out", folder / name)
        assert done.returncode == 0, done.stderr
        texts[name] = (folder / name).read_text()
    return texts


@pytest.mark.parametrize("language", ["zh", "en"])
def test_it_has_the_seven_chapters_of_the_source_document(
    readmes: dict[str, str], language: str
) -> None:
    assert re.findall(r"^## (.*)$", readmes[language], re.MULTILINE) == CHAPTERS[language]


def test_the_chapters_are_those_of_the_real_document(shared: Path) -> None:
    source = (shared / "sources" / "regnety_ascend.md").read_text()
    assert re.findall(r"^## (.*)$", source, re.MULTILINE) == CHAPTERS["zh"]


@pytest.mark.parametrize("name", ["zh", "en", "modelzoo"])
def test_every_command_is_one_that_was_run(
    readmes: dict[str, str], ported: Path, name: str
) -> None:
    stated = re.findall(r"^portproof .*$", readmes[name], re.MULTILINE)
    logged = {
        (p.read_text().splitlines()[0]).removeprefix("$ ") for p in (ported / "logs").glob("*.log")
    }
    assert len(stated) >= 8
    assert {shlex.join(shlex.split(c)) for c in stated} <= {
        shlex.join(shlex.split(c)) for c in logged
    }


@pytest.mark.parametrize("name", ["zh", "en"])
def test_the_figures_are_those_of_the_files(
    readmes: dict[str, str], ported: Path, name: str
) -> None:
    rows = {
        r["key"]: r["value"]
        for r in json.loads((ported / "ort/bs2/result.json").read_text())["value"]
    }
    assert (
        f"|  {rows['Top1 accuracy']} | {rows['Top2 accuracy']} | {rows['Top3 accuracy']} |"
        in readmes[name]
    )
    compared = json.loads((ported / "compare.json").read_text())
    assert f"{compared['ci95_pp'][0]:+.3f}" in readmes[name]
    perf = json.loads((ported / "ort/perf.json").read_text())
    m = perf["measurements"][0]
    calls = [s for block in m["blocks"] for s in block]
    four_digits = f"{m['batch'] * len(calls) / sum(calls):.4g}"
    assert f"| call | {float(four_digits):.0f} |" in readmes[name]
    assert f"{perf['ratios'][0]['ratio']:.3f}" in readmes[name]


def test_what_comes_from_outside_is_no_markup(readmes: dict[str, str]) -> None:
    """The card's source of the published accuracy is ``a | table <b>``."""
    assert r"a \| table &lt;b&gt;" in readmes["en"]


def test_modelzoo_has_the_columns_of_its_newer_form(readmes: dict[str, str]) -> None:
    text = readmes["modelzoo"]
    assert "| 芯片型号 | Batch Size | 数据集 | 精度 | 性能 |" in text
    row = next(line for line in text.splitlines() if line.startswith("| ort | 2 |"))
    assert "top-1: 90.0%" in row
    assert re.search(r"\| \d[\d.]* \|$", row)
    assert (
        next(line for line in text.splitlines() if line.startswith("| ort | 1 |"))
        .split("|")[4]
        .strip()
        == "-"
    )


def test_the_audit_finds_nothing_in_it(
    readmes: dict[str, str], tmp_path: Path, stage: Command
) -> None:
    (tmp_path / "README.md").write_text(readmes["en"])
    done = stage("reports/audit.py", tmp_path / "README.md")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_existing_readme_is_updated_in_place(
    ported: Path, tmp_path: Path, stage: Command
) -> None:
    out = tmp_path / "README.md"
    stage("reports/readme.py", ported, "--out", out)
    fresh = out.read_text()
    mine = "My introduction, with 90.0% of nothing.\n\n"
    between = "\n\nA remark of mine between two chapters.\n"
    stale = mine + fresh.replace(
        "<!-- portproof:end 3 -->", f"<!-- portproof:end 3 -->{between}"
    ).replace("90.0%", "11.1%")
    out.write_text(stale)
    assert stage("reports/readme.py", ported, "--out", out).returncode == 0
    text = out.read_text()
    assert text == mine + fresh.replace(
        "<!-- portproof:end 3 -->", f"<!-- portproof:end 3 -->{between}"
    )


def test_a_chapter_that_the_author_removed_stays_removed(
    ported: Path, tmp_path: Path, stage: Command
) -> None:
    out = tmp_path / "README.md"
    stage("reports/readme.py", ported, "--out", out)
    block = next(b for b in blocks_in(out.read_text(), "README") if b.name == "5")
    shortened = out.read_text()[: block.start] + out.read_text()[block.end :]
    out.write_text(shortened)
    stage("reports/readme.py", ported, "--out", out)
    assert out.read_text() == shortened


def test_a_readme_without_markers_keeps_its_text(
    ported: Path, tmp_path: Path, stage: Command
) -> None:
    out = tmp_path / "README.md"
    out.write_text("# My port\n\nI wrote this.\n")
    assert stage("reports/readme.py", ported, "--out", out).returncode == 0
    assert out.read_text().startswith("# My port\n\nI wrote this.\n")
    assert "<!-- portproof:begin 6 -->" in out.read_text()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<!-- portproof:begin 1 -->\n", "has no end"),
        ("<!-- portproof:end 1 -->\n", "no partner"),
        ("<!-- portproof:begin 1 -->\n<!-- portproof:begin 2 -->\n", "no partner"),
        ("<!-- portproof:begin 1 -->\n<!-- portproof:end 1 -->\n" * 2, "twice"),
        ("<!-- portproof:begin results -->\n<!-- portproof:end results -->\n", "another kind"),
    ],
)
def test_broken_markers_are_one_sentence_and_the_file_stays(
    ported: Path, tmp_path: Path, stage: Command, text: str, said: str
) -> None:
    out = tmp_path / "README.md"
    out.write_text(text)
    done = stage("reports/readme.py", ported, "--out", out)
    assert done.returncode == 2
    assert said in done.stderr
    assert out.read_text() == text


@given(st.text(), st.text(), st.text())
def test_updating_never_touches_what_stands_outside(before: str, between: str, after: str) -> None:
    fresh = (
        "<!-- portproof:begin a -->\nnew a\n<!-- portproof:end a -->\n\n<!-- portproof:begin b"
        " -->\nnew b\n<!-- portproof:end b -->\n"
    )
    parts = [
        f"{before}\n",
        "<!-- portproof:begin b -->\nold\n<!-- portproof:end b -->",
        f"\n{between}\n",
        "<!-- portproof:begin a -->\n<!-- portproof:end a -->",
        f"\n{after}",
    ]
    try:
        text = updated("".join(parts), fresh, "README")
    except InputError:
        assert "portproof:" in before + between + after
        return
    parts[1], parts[3] = (
        "<!-- portproof:begin b -->\nnew b\n<!-- portproof:end b -->",
        "<!-- portproof:begin a -->\nnew a\n<!-- portproof:end a -->",
    )
    assert text == "".join(parts)


def test_a_folder_that_is_no_run_directory(tmp_path: Path, stage: Command) -> None:
    done = stage("reports/readme.py", tmp_path)
    assert done.returncode == 2
    assert "no port.yaml" in done.stderr
