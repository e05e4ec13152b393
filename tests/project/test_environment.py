"""The environment that ``run_*.sh`` make: on top of an interpreter's packages, once, and never
taken for made when it is not.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def bash(root: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; source {root}/tools/environment.sh; {script}"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def interpreter_with(module: str, folder: Path) -> Path:
    """An interpreter of its own that has a module of that name."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    (packages / f"{module}.py").write_text("origin = 'theirs'\n")
    return folder / "bin" / "python"


@pytest.fixture
def clone(root: Path, tmp_path: Path) -> Path:
    """What of a clone the environment is made from."""
    folder = tmp_path / "clone"
    for name in ("tools/environment.sh", "pyproject.toml", "setup.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, folder / name)
    return folder


def test_an_environment_has_the_packages_of_an_interpreter_that_is_itself_in_one(
    root: Path, tmp_path: Path
) -> None:
    theirs = interpreter_with("aclruntime", tmp_path / "theirs")
    made = bash(
        root, f"make_environment {theirs} {tmp_path}/ours --without-pip --system-site-packages"
    )
    assert made.returncode == 0, made.stderr
    asked = subprocess.run(
        [tmp_path / "ours" / "bin" / "python", "-c", "import aclruntime; print(aclruntime.origin)"],
        capture_output=True,
        text=True,
    )
    assert asked.stdout == "theirs\n", asked.stderr


def test_an_environment_that_could_not_be_filled_is_filled_the_next_time(clone: Path) -> None:
    for _ in range(2):
        failed = bash(
            clone,
            "prepare_environment demo; echo made",
            PIP_NO_INDEX="1",
            PORTPROOF_PYTHON=sys.executable,
        )
        assert failed.returncode != 0
        assert "made" not in failed.stdout
        assert "Setting up" in failed.stderr


def test_what_the_tests_need_is_enough_for_everything_else(clone: Path) -> None:
    (clone / ".venv").mkdir()
    stamp = f"environment_stamp {clone} > {clone}/.venv/portproof-test"
    made = bash(clone, f"{stamp}; prepare_environment demo; echo made")
    assert (made.returncode, made.stdout, made.stderr) == (0, "made\n", "")


def pip_double(clone: Path) -> Path:
    """An interpreter in the environment's place that writes down what it is asked, and does nothing."""
    python, asked = clone / ".venv/bin/python", clone / "asked"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    python.chmod(0o755)
    return asked


def test_a_plain_environment_holds_what_the_lock_names_and_nothing_else(clone: Path) -> None:
    asked = pip_double(clone)
    (clone / "locks").mkdir()
    (clone / "locks/demo.txt").touch()
    assert bash(clone, "prepare_environment demo").returncode == 0
    first, second = asked.read_text().splitlines()
    assert f"--require-hashes --requirement {clone}/locks/demo.txt" in first
    assert f"--no-deps --no-build-isolation --editable {clone}" in second


@pytest.mark.parametrize(
    ("locked", "command", "lock"),
    [
        ("demo", "prepare_environment demo", "no"),
        ("test", "prepare_environment demo", "yes"),
        ("demo", "prepare_environment demo --system-site-packages", "yes"),
    ],
)
def test_without_a_lock_that_fits_the_project_says_what_is_needed(
    clone: Path, locked: str, command: str, lock: str
) -> None:
    asked = pip_double(clone)
    (clone / "locks").mkdir()
    (clone / f"locks/{locked}.txt").touch()
    assert bash(clone, command, PORTPROOF_LOCK=lock).returncode == 0
    assert asked.read_text().rstrip().endswith(f"--editable {clone}[demo]")


def test_a_lock_that_changed_makes_the_environment_anew(clone: Path) -> None:
    asked = pip_double(clone)
    (clone / "locks").mkdir()
    (clone / "locks/demo.txt").touch()
    for text in ("", "", "# changed"):
        (clone / "locks/demo.txt").write_text(text)
        assert bash(clone, "prepare_environment demo").returncode == 0
    assert len(asked.read_text().splitlines()) == 4  # the second time nothing was installed


@pytest.mark.parametrize(("has", "inherits"), [("torch", "true"), ("numpy_only", "false")])
def test_torch_is_taken_from_an_interpreter_that_has_it_and_from_no_other(
    clone: Path, tmp_path: Path, has: str, inherits: str
) -> None:
    theirs = interpreter_with(has, tmp_path / "theirs")
    # Without an index nothing can be installed: what is looked at is what the environment is made on.
    bash(
        clone, "prepare_environment_over torch demo", PIP_NO_INDEX="1", PORTPROOF_PYTHON=str(theirs)
    )
    made = (clone / ".venv/pyvenv.cfg").read_text()
    assert f"include-system-site-packages = {inherits}" in made
