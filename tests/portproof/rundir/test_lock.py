"""The lock of a run directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.rundir.lock import LOCK, locked

HOLD = """
import sys
from pathlib import Path
from portproof.rundir.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path, root: Path) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process  # type: ignore[misc]
    process.kill()
    process.wait()


def test_the_second_run_refuses_and_names_the_first(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with (
        pytest.raises(InputError, match=rf"process {holder.pid} on .*started 20"),
        locked(tmp_path / "run"),
    ):
        pass
    assert str(holder.pid) in (tmp_path / "run" / LOCK).read_text()


def test_a_killed_holder_s_lock_is_stale(
    holder: subprocess.Popen[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holder.kill()
    holder.wait()
    with locked(tmp_path / "run"):
        assert "stale" in capsys.readouterr().err
    assert (tmp_path / "run" / LOCK).read_text() == ""


def test_a_child_that_outlives_its_parent_still_guards_the_folder(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    ended = gone.pid
    gone.wait()
    with locked(tmp_path / "run") as lock:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE,
            pass_fds=(lock,),
        )
    try:
        (tmp_path / "run" / LOCK).write_text(
            json.dumps({"host": socket.gethostname(), "pid": ended, "started": "2026"})
        )
        with (
            pytest.raises(InputError, match=r"is in use.* a step that it started is still at work"),
            locked(tmp_path / "run"),
        ):
            pass
    finally:
        child.kill()
        child.wait()
    with locked(tmp_path / "run"):
        pass
