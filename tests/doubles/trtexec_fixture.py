"""Puts the double of trtexec on PATH, for this process and those that it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def install(monkeypatch: Any, folder: Path, version: str) -> None:
    """``trtexec`` of that version in ``folder``; and the double of TensorRT for Python
    processes.
    """
    folder.mkdir(exist_ok=True)
    program = folder / "trtexec"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{HERE}" exec "{sys.executable}" "{HERE / "trtexec_double.py"}"'
        ' "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setenv("TRTEXEC_DOUBLE", version)
    monkeypatch.setenv("TENSORRT_DOUBLE", version)
