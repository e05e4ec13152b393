"""Where a vendor tool is found that is not on the PATH."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portproof.manifest import Sample, write_info
from portproof.rehearsal.installing import install

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize("tool", [f"benchmark.{platform.machine()}", "msame"])
@pytest.mark.parametrize("where", ["here", "named", "nowhere"])
def test_a_tool_may_lie_where_the_work_is_started(
    stage: Command, tmp_path: Path, om_models: Path, tool: str, where: str
) -> None:
    found = install(tmp_path / "rehearsal", "Ascend310P3", {"PATH": os.environ["PATH"]})
    work, named = tmp_path / "work", tmp_path / "tools"
    for folder in (work, named):
        folder.mkdir()
    if where != "nowhere":
        shutil.copy(tmp_path / "rehearsal" / "bin" / tool, work if where == "here" else named)
    np.zeros((3, 4, 4), np.float32).tofile(work / "s.bin")
    write_info(work / "s.info", [Sample("s", ("s.bin",), 4, 4)])
    environment = found | {"PATH": os.environ["PATH"], "PORTPROOF_TOOLS": str(named)}
    done = stage(
        "infer/run.py",
        om_models / "bs1.om",
        "--info",
        "s.info",
        "--out",
        "result",
        "--runner",
        tool.partition(".")[0],
        cwd=work,
        env=environment,
    )
    assert done.returncode == (2 if where == "nowhere" else 0), done.stderr
    if where == "nowhere":
        assert f"the program '{tool}' was not found on this host" in done.stderr
