"""Drafts: what a killed writer leaves is taken over by the next, and never taken from a living
one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from portproof.core.drafts import draft_folder
from portproof.core.files import atomic_writer, write_bytes
from portproof.core.shell import own_environment

#: Begin a write, print a line, and wait in the middle of it.
FILE = """
    import sys, time
    from portproof.core.files import atomic_writer
    with atomic_writer(sys.argv[1]) as file:
        file.write(b"half of a long, long file")
        file.flush()
        print("in the middle", flush=True)
        sys.stdin.readline()
"""
FOLDER = """
    import sys, time
    from pathlib import Path
    from portproof.core.drafts import draft_folder
    with draft_folder(Path(sys.argv[1])) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "half").touch()
        print("in the middle", flush=True)
        sys.stdin.readline()
"""


@contextmanager
def in_the_middle(code: str, target: Path) -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a write, which ends it when it gets a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(target)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=own_environment(),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "in the middle\n"
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def kill_in_the_middle(code: str, target: Path) -> None:
    with in_the_middle(code, target) as process:
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL


def test_the_next_writer_takes_over_what_a_kill_left(tmp_path: Path) -> None:
    target = tmp_path / "compare.json"
    target.write_bytes(b"old")
    for _ in range(3):
        kill_in_the_middle(FILE, target)
    assert target.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2  # three kills leave one draft
    write_bytes(target, b"new")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"new", ["compare.json"])


def test_two_live_writers_do_not_meet_and_the_last_to_end_wins(tmp_path: Path) -> None:
    target = tmp_path / "perf.json"
    with in_the_middle(FILE, target) as first, in_the_middle(FILE, target) as second:
        assert len(os.listdir(tmp_path)) == 2
        write_bytes(target, b"a third one, whole")
        assert target.read_bytes() == b"a third one, whole"
        for process in (first, second):
            process.communicate("\n", timeout=60)
            assert process.returncode == 0
            assert target.read_bytes() == b"half of a long, long file"
    assert os.listdir(tmp_path) == ["perf.json"]


def test_a_killed_writer_among_living_ones_leaves_nothing_in_the_end(tmp_path: Path) -> None:
    target = tmp_path / "perf.json"
    with in_the_middle(FILE, target) as first:
        kill_in_the_middle(FILE, target)
        assert len(os.listdir(tmp_path)) == 2
        first.communicate("\n", timeout=60)
    assert len(os.listdir(tmp_path)) == 2  # the killed one's draft is still there
    write_bytes(target, b"new")
    assert (target.read_bytes(), os.listdir(tmp_path)) == (b"new", ["perf.json"])


def test_many_threads_and_one_target(tmp_path: Path) -> None:
    target, texts = tmp_path / "a", [bytes([65 + i]) * (1000 + i) for i in range(16)]
    problems: list[BaseException] = []

    def write(text: bytes) -> None:
        try:
            for _ in range(20):
                write_bytes(target, text)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert target.read_bytes() in texts
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_a_kill_left_is_empty_for_the_next(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    kill_in_the_middle(FOLDER, target)
    (left,) = tmp_path.iterdir()
    with draft_folder(target) as folder:
        assert (folder, list(folder.iterdir())) == (left, [])
        (folder / "draft").touch()
        with draft_folder(target) as second, atomic_writer(target) as file:
            file.write(b"made")
            assert second != folder
            assert (folder / "draft").is_file()
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_a_link_under_a_drafts_name_is_not_followed(tmp_path: Path) -> None:
    target, precious = tmp_path / "a", tmp_path / "precious"
    precious.write_text("precious")
    kill_in_the_middle(FILE, target)
    (draft,) = (p for p in tmp_path.iterdir() if p.suffix == ".tmp")
    draft.unlink()
    draft.symlink_to(precious)
    write_bytes(target, b"new")
    assert (target.read_bytes(), precious.read_text()) == (b"new", "precious")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(PermissionError):
        write_bytes(tmp_path / "a", b"x")


def test_a_folder_that_is_gone_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with pytest.raises(FileNotFoundError), atomic_writer(folder / "a") as file:
        file.write(b"x")
        (folder / os.listdir(folder)[0]).unlink()
        folder.rmdir()
    assert os.listdir(tmp_path) == []
