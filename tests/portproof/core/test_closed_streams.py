"""Commands whose caller closed stdout, stderr or both: they do their work and end as always."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from portproof.core.shell import own_environment

CLOSED = (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-")


def run(folder: Path, closed: str, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, *map(str, words)],
        cwd=folder,
        env=own_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "result").mkdir()
    for i in range(4):
        np.eye(3, dtype=np.float32)[i % 3].tofile(tmp_path / "result" / f"s{i}_1.bin")
    (tmp_path / "labels.txt").write_text("".join(f"s{i}.jpg {i % 2}\n" for i in range(4)))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("-m", "portproof"), 2),
        (("-m", "portproof", "--help"), 0),
        (("-m", "portproof", "schema", "proof"), 0),
        (("-m", "portproof", "doctor", "--json", "--target", "310"), 0),
        (("-m", "portproof", "no-such-command"), 2),
        (("-m", "portproof", "topn", "--help"), 0),
        (("-m", "portproof", "topn", "nowhere", "labels.txt"), 2),
        (("-m", "portproof", "topn", "--no-such-option"), 2),
    ],
)
def test_the_exit_code_is_the_usual_one(results: Path, words: tuple[str, ...], code: int) -> None:
    whole = run(results, "", *words)
    assert whole.returncode == code, whole.stderr
    for closed in CLOSED:
        done = run(results, closed, *words)
        assert done.returncode == code, (closed, done.stderr)
        for name in ("stdout", "stderr"):
            assert getattr(done, name) in ("", getattr(whole, name))
    assert sorted(p.name for p in results.iterdir()) == ["labels.txt", "result"]


@pytest.mark.parametrize("closed", CLOSED)
def test_files_are_written_as_always(results: Path, root: Path, closed: str) -> None:
    command = (root / "metrics/topn.py", "result", "labels.txt", "--out", "result.json")
    files = ("result.json", "outcomes.csv")
    assert run(results, "", *command, "--outcomes", "outcomes.csv").returncode == 0
    whole = [(results / name).read_bytes() for name in files]
    for name in files:
        (results / name).unlink()
    done = run(results, closed, *command, "--outcomes", "outcomes.csv")
    assert done.returncode == 0, done.stderr
    assert [(results / name).read_bytes() for name in files] == whole


@pytest.mark.parametrize("closed", CLOSED)
def test_what_children_and_libraries_print_goes_into_no_file(tmp_path: Path, closed: str) -> None:
    code = """
import os, subprocess, sys
from portproof.core.errors import exit_with

def main():
    with open("artefact", "wb", buffering=0) as file:
        for descriptor in (1, 2):
            os.write(descriptor, b"a library's noise")
        child = "import sys; print('noise'); print('noise', file=sys.stderr); sys.stdin.read()"
        subprocess.run([sys.executable, "-c", child], check=True)
        file.write(b"whole")
    return 0

exit_with(main)
"""
    done = run(tmp_path, closed, "-c", code)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "artefact").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["artefact"]
