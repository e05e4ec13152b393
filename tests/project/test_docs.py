"""The documentation is run: its files are written, its commands and examples executed, its tables
held against the real figures.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)

Run = Callable[[Path, str], str]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a command line of the documentation, without a shell, with ``portproof`` and ``python``
    as they are here; returns its output.
    """
    programs = tmp_path_factory.mktemp("bin")
    for name, command in (
        ("portproof", f"'{sys.executable}' -m portproof"),
        ("python", f"'{sys.executable}'"),
    ):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)

    def run_one(folder: Path, line: str, source: Path | None = None) -> str:
        root = source or Path(__file__).resolve().parents[2]
        env = os.environ | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(root / "src"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            shlex.split(line),
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        # A bench on a loaded machine may say that its clock was not to be trusted; that is an
        # answer.
        assert done.returncode == 0 or (" bench " in line and done.returncode == 4), (
            f"$ {line}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    return run_one


def play(
    document: Path, folder: Path, run: Callable[..., str], source: Path | None = None
) -> list[str]:
    """Write the files and run the commands of a document in its order; returns the commands."""
    commands = []
    for kind, name, body in FENCE.findall(document.read_text()):
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(body)
        elif kind == "console":
            for line in body.splitlines():
                assert line.startswith("$ "), f"{document.name}: a command begins with '$ ': {line}"
                run(folder, line[2:], source)
                commands.append(line[2:])
    return commands


@pytest.mark.slow
def test_the_first_port(root: Path, demonstration_copy: Path, tmp_path: Path, run: Run) -> None:
    """With the demonstration, made from nothing by the same command, in its place: each is done once
    in all tests.
    """
    shutil.copytree(demonstration_copy, tmp_path / "runs" / "digits")
    commands = play(root / "docs/first-port.md", tmp_path, run)
    assert len(commands) >= 8
    assert (tmp_path / "README.zh.md").is_file()


def test_reviewing(root: Path, ported: Path, tmp_path: Path, run: Run) -> None:
    shutil.copytree(ported, tmp_path / "theirs")
    assert len(play(root / "docs/reviewing.md", tmp_path, run)) >= 5


def test_numbers(root: Path, tmp_path: Path, run: Run) -> None:
    assert play(root / "docs/numbers.md", tmp_path, run)


def test_tasks(root: Path, tmp_path: Path, run: Run) -> None:
    assert len(play(root / "docs/tasks.md", tmp_path, run)) == 4
    assert json.loads((tmp_path / "compare.json").read_text())["verdict"] == "PASS"


def test_every_task_and_its_figures_are_listed(root: Path) -> None:
    from portproof.metrics.tasks import load_task, task_names

    rows = re.findall(
        r"^\| `(\w+)` \|([^|]*)\|", (root / "docs/tasks.md").read_text(), re.MULTILINE
    )
    listed = dict(rows)
    for name in task_names():
        for figure in load_task(name).FIGURES:
            found = re.search(rf"\b{figure.name}\b", listed[name])
            assert found or name in COCO, (name, figure.name)


#: Their figures are listed in words: AP and AR by size.
COCO = ("detection", "instance_segmentation", "keypoints")


def test_every_figure_is_explained(root: Path, ported: Path) -> None:
    explained = set(re.findall(r"`(\w+)`", (root / "docs/numbers.md").read_text()))
    figures = json.loads((ported / "report/report.json").read_text())["figures"]
    names = {re.sub(r"^top\d+$", "topK", figure["id"].rpartition("/")[2]) for figure in figures}
    assert names - explained == set()


def test_extending(root: Path, tmp_path: Path, run: Run) -> None:
    """In a copy of the checkout, since the new files belong into it."""
    for name in (
        "src",
        "convert",
        "preprocess",
        "infer",
        "metrics",
        "reports",
        "catalog",
        "examples",
    ):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert len(play(root / "docs/extending.md", tmp_path, run, tmp_path)) >= 6
    lines = (tmp_path / "perf.json").read_text()
    assert '"backend":"matrix"' in lines.replace(" ", "")


def test_the_api(root: Path, ported: Path, tmp_path: Path, run: Run) -> None:
    shutil.copytree(ported / "prep", tmp_path / "prep")
    for name in ("weights.pth", "colours.py", "labels.txt"):
        shutil.copy(ported.parent / name, tmp_path / name)
    shutil.copy(ported.parent / "colours.yaml", tmp_path / "card.yaml")
    shutil.copy(ported / "prep.info", tmp_path / "prep.info")
    document = (root / "docs/api.md").read_text()
    examples = [body for kind, name, body in FENCE.findall(document) if kind == "python"]
    (tmp_path / "examples.py").write_text("\n".join(examples))
    output = run(tmp_path, "python examples.py")
    assert "PASS" in output
    import portproof

    for name in portproof._API:
        assert (
            f"## {name}:" in document
            or f"`{name}`" in document
            or f"`portproof.{name}`" in document
        )


def test_links_lead_somewhere(root: Path) -> None:
    for document in (root / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
