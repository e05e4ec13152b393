"""Every command that reads a result folder, or a run directory with some, takes packed results."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portproof.packed.results import is_packed

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def in_packs(
    tmp_path_factory: pytest.TempPathFactory,
    portproof: Command,
    small_port: Callable[[Path], list[str]],
) -> Path:
    """The run directory of ``ported``, made with packed results."""
    folder = tmp_path_factory.mktemp("packs")
    options = ["--packed", "--run-dir", folder / "run", "--starts", 4]
    done = portproof("port", *small_port(folder), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"


@pytest.fixture(scope="module")
def portproof(root: Path) -> Command:
    """The front door, in a process of its own: ``portproof("topn", ...)``."""

    def run(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "portproof", *map(str, words)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def sides(run: Path) -> tuple[Path, Path]:
    eager, port = (sorted(run.glob(f"{side}/bs*/result"))[0] for side in ("eager", "ort"))
    return eager, port


def data(run: Path) -> dict[str, Path]:
    eager, port = sides(run)
    beside = run.parent
    return {
        "eager": eager,
        "port": port,
        "run": run,
        "labels": beside / "labels.txt",
        "card": beside / "colours.yaml",
        "images": beside / "images",
        "onnx": next(run.glob("*.onnx")),
        "info": next(run.glob("*.info")),
    }


#: What is asked of both forms, and has one answer.
ANSWERS = {
    "topn": "topn {port} {labels}",
    "compare": "compare {eager} {port} {labels} --margin-pp 20",
    "compare without labels": (
        "compare {eager} {port} --outputs --model-file {onnx} --info {info}"
    ),
    "diagnose": (
        "diagnose --model {card} --reference {onnx} --images {images} --labels {labels}"
        " --result {port}"
    ),
    "ladder of folders": ("ladder {card} torch={eager} port={port} --labels {labels} --out {out}"),
    "ladder of a run": "ladder {run} --out {out}",
    "variance": (
        "variance {onnx} --info {info} --builds 2 --no-speed --labels {labels}"
        " --reference {eager} --out {out}"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ANSWERS)
def test_packs_have_the_answers_of_files(
    ported: Path, in_packs: Path, portproof: Command, tmp_path: Path, case: str
) -> None:
    said = []
    for at, run in enumerate((ported, in_packs)):
        assert [is_packed(side) for side in sides(run)] == [bool(at)] * 2
        places = data(run) | {"out": tmp_path / str(at)}
        words = [word.format(**places) for word in ANSWERS[case].split()]
        done = portproof(*words, "--quiet", cwd=run)
        text = done.stdout
        for path in sorted(map(str, places.values()), key=len, reverse=True):
            text = text.replace(path, "PLACE")
        said.append((done.returncode, text, done.stderr if done.returncode > 1 else ""))
    assert said[0] == said[1]
    assert said[0][0] in (0, 1, 4) and said[0][1]


#: What is made of a run directory; each ends well, since the port did.
MADE = {
    "report": "report {run}",
    "verify": "verify {run}",
    "verify a challenge": "verify {run} --challenge 5",
    "html": "html {run} --out {out}.html",
    "readme": "readme {run} --out {out}.md",
    "audit": "audit {run}/report/README.md",
    "modelzoo": "modelzoo {run} --out {out}",
    "attest": "attest {run} --who somebody --out {out}.yaml",
    "baseline": "baseline {run} --out {out}",
    "history": "history {run} --out {out}",
    "pack": "pack {run} -o {out}.tar.zst",
    "why": "why {run}",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", MADE)
def test_what_is_made_of_a_run_directory_of_packs(
    in_packs: Path, portproof: Command, tmp_path: Path, case: str
) -> None:
    places = {"run": str(in_packs), "out": str(tmp_path / "made")}
    done = portproof(*(word.format(**places) for word in MADE[case].split()))
    assert done.returncode == 0, done.stdout + done.stderr
