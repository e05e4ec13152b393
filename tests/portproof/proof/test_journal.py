"""The journal of a stage that was killed: what it vouches for, and in which order things happen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from portproof.proof import journal as journal_module
from portproof.proof.journal import Journal, PendingFiles
from portproof.proof.work import Work


def work_on(folder: Path) -> Work:
    return Work("infer", folder, inputs={}, parameters={"batch": 1})


def killed_after_two(folder: Path) -> None:
    with Journal(work_on(folder)) as journal:
        for name in ("a.bin", "b.bin"):
            journal.publish(PendingFiles(folder, folder.parent).write(name, name.encode()))


def test_what_was_finished_is_kept(tmp_path: Path) -> None:
    killed_after_two(tmp_path / "result")
    assert sorted(Journal(work_on(tmp_path / "result")).finished) == ["a.bin", "b.bin"]


@pytest.mark.parametrize("how", ["time", "size", "gone"])
def test_a_file_that_was_touched_since_is_made_again(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "result"
    killed_after_two(folder)
    touched = folder / "a.bin"
    if how == "gone":
        touched.unlink()
    elif how == "size":
        touched.write_bytes(b"longer than before")
    else:  # other bytes of the same length, at another time
        before = touched.stat().st_mtime_ns
        touched.write_bytes(b"A.BIN")
        os.utime(touched, ns=(before + 10**9, before + 10**9))
    assert list(Journal(work_on(folder)).finished) == ["b.bin"]
    assert not touched.exists()


def test_a_kill_while_the_journal_is_written_again_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "result"
    killed_after_two(folder)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(journal_module, "_lines", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        Journal(work_on(folder)).__enter__()
    assert sorted(Journal(work_on(folder)).finished) == ["a.bin", "b.bin"]
    assert sorted(os.listdir(tmp_path)) == [".result.journal", "result"]


def test_a_file_is_noted_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill between the two leaves nothing that nobody vouches for."""
    folder, noted = tmp_path / "result", []
    replace = os.replace

    def spied(source: Any, target: Any) -> None:
        if Path(target).parent == folder:
            noted.append(b'"result/' + Path(target).name.encode() in journal.path.read_bytes())
        replace(source, target)

    monkeypatch.setattr(os, "replace", spied)
    other = tmp_path / "other.bin"
    other.write_bytes(b"other")
    with Journal(work_on(folder)) as journal:
        files = PendingFiles(folder, tmp_path)
        journal.publish(*(files.write(f"{name}.bin", b"a") for name in "acd"))
        journal.take(other, "b.bin", tmp_path)
    assert noted == [True] * 4
    assert sorted(Journal(work_on(folder)).finished) == [f"{name}.bin" for name in "abcd"]


def test_a_journal_leaves_no_descriptor_open_and_goes_when_it_is_removed(tmp_path: Path) -> None:
    before = len(os.listdir("/dev/fd"))
    killed_after_two(tmp_path / "new" / "result")
    assert len(os.listdir("/dev/fd")) == before
    journal = Journal(work_on(tmp_path / "new" / "result"))
    assert journal.path.is_file()
    for _ in range(2):
        journal.remove()
        assert not journal.path.exists()


def test_files_are_everybodys_who_may_read_what_is_new_there(tmp_path: Path) -> None:
    killed_after_two(tmp_path / "result")
    (tmp_path / "plain").touch()
    assert (tmp_path / "result/a.bin").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_journal_with_a_line_of_something_else_vouches_for_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    killed_after_two(folder)
    with (tmp_path / ".result.journal").open("a") as file:
        file.write('{"path": 5}\n')
    assert Journal(work_on(folder)).finished == {}
    assert os.listdir(folder) == []


def test_a_growing_file_that_is_gone_begins_anew(tmp_path: Path) -> None:
    folder = tmp_path / "result"
    killed_after_two(folder)
    (folder / "a.bin").unlink()
    journal = Journal(work_on(folder), growing=("a.bin", "b.bin", "c.bin"))
    assert (list(journal.grown), list(journal.finished)) == (["b.bin"], [])
