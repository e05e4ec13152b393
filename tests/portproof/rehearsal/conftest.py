"""The simulated tools, run as programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def program(root: Path, tmp_path: Path, om_models: Path) -> Program:
    """Run Python with these arguments in ``tmp_path``, where ``models`` is a link to the models;
    unbuffered, its outputs merged.
    """
    (tmp_path / "models").symlink_to(om_models)

    def run(
        *command: object, env: dict[str, str] | None = None, buffered: bool = False
    ) -> subprocess.CompletedProcess[str]:
        clean = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
        environment = (
            clean
            | {"PYTHONPATH": str(root / "src")}
            | ({} if buffered else {"PYTHONUNBUFFERED": "1"})
            | (env or {})
        )
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    return run
