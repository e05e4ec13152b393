"""The locks of a run directory and of what a stage makes."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.proof.lock import LOCK, locked, locked_artefact

HOLD = """
import sys
from pathlib import Path
from portproof.proof.lock import locked
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


@pytest.mark.parametrize("text", ["[" * 4000, '{"pid": 1e999}', "\xff", '{"pid": 99999999999999}'])
def test_whatever_is_in_the_file_a_lock_that_nobody_holds_is_taken(
    tmp_path: Path, text: str
) -> None:
    for path in (tmp_path / LOCK, tmp_path / ".result.lock"):
        path.write_text(text, encoding="latin-1")
    with locked(tmp_path), locked_artefact(tmp_path / "result", "--out"):
        assert str(os.getpid()) in (tmp_path / ".result.lock").read_text()
    assert not (tmp_path / ".result.lock").exists()


def test_what_a_stage_makes_is_locked_beside_it_by_name(tmp_path: Path) -> None:
    with locked_artefact(tmp_path / "result", "--out"):
        with (
            pytest.raises(
                InputError, match=rf"in use: by process {os.getpid()} .* or give another --out$"
            ),
            locked_artefact(tmp_path / "result", "--out"),
        ):
            pass
        with locked_artefact(tmp_path / "other", "--out"):
            assert not (tmp_path / "result").exists()
    assert list(tmp_path.iterdir()) == []


def test_where_nobody_can_write_no_lock_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("portproof.proof.lock.os.open", refused)
    with locked_artefact(tmp_path / "result", "--out"):
        pass


def test_a_step_that_is_being_killed_with_its_parent_is_waited_for(tmp_path: Path) -> None:
    """The lock names a process that has ended; who still holds it ends a moment later."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / ".prep.lock"
    path.write_text(json.dumps({"host": socket.gethostname(), "pid": gone.pid, "started": ""}))
    code = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True)"
    words = [sys.executable, "-c", code + "; time.sleep(0.4)", str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as dying:
        assert dying.stdout
        dying.stdout.readline()
        with locked_artefact(tmp_path / "prep", "PREP_DIR"):
            assert dying.wait() == 0
