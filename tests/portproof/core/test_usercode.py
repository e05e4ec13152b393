"""A user's own Python file: who is about to run is said before it runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from portproof.core import progress
from portproof.core.usercode import load_callable, load_file, own_folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    source = tmp_path / "theirs.py"
    source.write_text("import sys\nprint('theirs runs', file=sys.stderr)\ndef build(): return 1\n")
    return source


def run(source: Path) -> None:
    with own_folder(source):
        load_callable(source, "build")


def test_code_that_is_not_ours_is_named_with_its_hash_before_it_runs(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.configure()
    run(theirs)
    said, ran = capsys.readouterr().err.splitlines()
    assert f"'{theirs}'" in said
    assert hashlib.sha256(theirs.read_bytes()).hexdigest()[:12] in said
    assert ran == "theirs runs"


def test_it_is_named_again_only_when_it_changed(
    theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    progress.configure()
    run(theirs)
    run(theirs)
    assert capsys.readouterr().err.count("running the code") == 1
    theirs.write_text("def build(): return 2\n")
    run(theirs)
    assert capsys.readouterr().err.count("running the code") == 1


def test_code_that_fails_was_named_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress.configure()
    source = tmp_path / "broken.py"
    source.write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit), own_folder(source):
        load_file(source)
    assert f"'{source}'" in capsys.readouterr().err
