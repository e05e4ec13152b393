"""The habits: lint, types, shell scripts and doctests."""

from __future__ import annotations

import doctest
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDERS = (
    "src",
    "convert",
    "preprocess",
    "infer",
    "metrics",
    "reports",
    "tests",
    "examples",
    "benchmarks",
    "tools",
    "setup.py",
)


def tool(name: str) -> str:
    found = shutil.which(
        name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if not found:
        pytest.skip(f"{name} is not installed (bash run_tests.sh installs it)")
    return found


def run(command: list[str], cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing(root: Path) -> None:
    run([tool("ruff"), "check", *FOLDERS], root)


def test_ruff_would_format_nothing(root: Path) -> None:
    run([tool("ruff"), "format", "--check", *FOLDERS], root)


def test_mypy_strict_finds_nothing(root: Path) -> None:
    tool("mypy")
    run(["bash", "tools/typecheck.sh"], root, PYTHON=sys.executable)


def test_bandit_finds_nothing(root: Path) -> None:
    command = [tool("bandit"), "-q", "-c", "pyproject.toml", "-r", *FOLDERS]
    run([word for word in command if word != "tests"], root)


def test_shellcheck_finds_nothing(root: Path) -> None:
    scripts = [
        *root.glob("*.sh"),
        *root.glob("tools/*.sh"),
        *root.glob("benchmarks/*.sh"),
        root / ".ci" / "run",
    ]
    run([tool("shellcheck"), "-x", *map(str, scripts)], root)


def library_modules() -> list[str]:
    root = Path(__file__).resolve().parents[2]
    found = []
    for top in ("src/portproof", "convert", "preprocess", "infer", "metrics", "reports"):
        for path in sorted((root / top).rglob("*.py")):
            if path.name != "__main__.py" and ">>> " in path.read_text():
                parts = (
                    path.relative_to(root / "src" if top.startswith("src") else root)
                    .with_suffix("")
                    .parts
                )
                found.append(
                    ".".join(
                        parts if top.startswith("src") else ("portproof", *parts)
                    ).removesuffix(".__init__")
                )
    return found


@pytest.mark.parametrize("name", library_modules())
def test_doctests(name: str) -> None:
    result = doctest.testmod(
        importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    assert result.attempted > 0
    assert result.failed == 0
