"""The sidecar is the only meaning of done; the journal lets a killed stage continue."""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
from pathlib import Path

import pytest

from portproof import rehearsal
from portproof.core.errors import InputError
from portproof.proof import sidecar
from portproof.proof.journal import Journal, PendingFiles, journal_of, pending
from portproof.proof.sidecar import proof_of, sidecar_of
from portproof.proof.work import Work


def work(folder: Path, **parameters: object) -> Work:
    return Work(
        "copy",
        folder / "out.txt",
        inputs={"source": [folder / "in.txt"]},
        parameters=parameters,
        packages=("numpy",),
    )


def make(folder: Path, **parameters: object) -> None:
    job = work(folder, **parameters)
    job.begin()
    (folder / "out.txt").write_bytes((folder / "in.txt").read_bytes())
    job.finish([folder / "out.txt"], facts={"answer": 42})


@pytest.fixture
def done(tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("hello")
    make(tmp_path, opset=11)
    return tmp_path


def test_nothing_changed_is_done(done: Path) -> None:
    assert work(done, opset=11).why() is None
    proof = proof_of(done / "out.txt")
    assert proof is not None
    assert proof.facts == {"answer": 42}
    assert [r.path for r in proof.outputs] == ["out.txt"]


@pytest.mark.parametrize("rehearsed", [False, True])
@pytest.mark.parametrize("simulated", [False, True])
def test_what_is_simulated_or_rehearsed_is_marked(
    done: Path, monkeypatch: pytest.MonkeyPatch, simulated: bool, rehearsed: bool
) -> None:
    monkeypatch.setattr(rehearsal, "is_active", lambda: rehearsed)
    job = Work("copy", done / "x.txt", inputs={}, parameters={}, simulated=simulated)
    job.begin()
    (done / "x.txt").write_text("")
    job.finish([done / "x.txt"])
    proof = proof_of(done / "x.txt")
    assert proof is not None
    assert proof.simulated is (simulated or rehearsed)


def test_a_sidecar_of_before_rehearsals_is_of_a_real_run(done: Path) -> None:
    stored = json.loads(sidecar_of(done / "out.txt").read_text())
    del stored["simulated"]
    sidecar_of(done / "out.txt").write_text(json.dumps(stored))
    proof = proof_of(done / "out.txt")
    assert proof is not None
    assert not proof.simulated


def test_a_changed_parameter_is_the_reason(done: Path) -> None:
    assert work(done, opset=13).why() == "opset was 11, now 13"


def test_a_changed_input_is_the_reason(done: Path) -> None:
    (done / "in.txt").write_text("other")
    assert "source" in (work(done, opset=11).why() or "")
    assert "changed" in (work(done, opset=11).why() or "")


def test_an_input_with_new_times_but_the_same_bytes_is_unchanged(done: Path) -> None:
    os.utime(done / "in.txt", ns=(1, 1))
    assert work(done, opset=11).why() is None


def test_a_change_that_keeps_size_and_times_is_seen_by_paranoid_only(done: Path) -> None:
    stat = (done / "out.txt").stat()
    (done / "out.txt").write_text("jello")
    os.utime(done / "out.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert work(done, opset=11).why() is None
    assert "was changed" in (work(done, opset=11).why(paranoid=True) or "")


def test_a_missing_output_is_the_reason(done: Path) -> None:
    (done / "out.txt").unlink()
    assert "is missing" in (work(done, opset=11).why() or "")


def test_a_copied_folder_is_still_done(
    done: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    copy = tmp_path_factory.mktemp("host") / "copy"
    shutil.copytree(done, copy)
    shutil.rmtree(done)
    assert work(copy, opset=11).why() is None


def test_a_stage_that_began_is_not_done(done: Path) -> None:
    work(done, opset=11).begin()
    assert work(done, opset=11).why() == "it has not been done yet"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"schema": "portproof.proof/99"}', '{"schema": "portproof.proof/1"}']
)
def test_a_damaged_sidecar_is_a_reason_not_a_crash(done: Path, text: str) -> None:
    sidecar_of(done / "out.txt").write_text(text)
    assert "sidecar" in (work(done, opset=11).why() or "")


def test_an_input_that_changes_meanwhile_is_refused(done: Path) -> None:
    job = work(done, opset=12)
    job.begin()
    (done / "in.txt").write_text("changed meanwhile")
    with pytest.raises(InputError, match="changed while"):
        job.finish([done / "out.txt"])
    assert not sidecar_of(done / "out.txt").exists()


def folder_work(base: Path, **parameters: object) -> Work:
    return Work("fill", base / "prep", inputs={}, parameters=parameters)


def fill(base: Path, names: list[str], **parameters: object) -> Work:
    job = folder_work(base, **parameters)
    with Journal(job) as journal:
        for name in names:
            journal.publish(
                PendingFiles(base / "prep", job.root).write(name, f"{name} {parameters}".encode())
            )
    return job


def test_a_killed_run_continues_where_it_was(tmp_path: Path) -> None:
    fill(tmp_path, ["a", "b"], size=1)
    (tmp_path / "prep" / ".c.tmp").write_text("half-written")
    with open(journal_of(tmp_path / "prep"), "ab") as file:
        file.write(b'{"path": "prep/c", "si')
    journal = Journal(folder_work(tmp_path, size=1))
    assert sorted(journal.finished) == ["a", "b"]
    assert sorted(os.listdir(tmp_path / "prep")) == ["a", "b"]


@pytest.mark.parametrize("moment", ["written", "noted"])
def test_a_kill_between_writing_noting_and_renaming_leaves_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    job = folder_work(tmp_path, size=1)
    with pytest.raises(KeyboardInterrupt), Journal(job) as journal:
        record = PendingFiles(tmp_path / "prep", job.root).write("a", b"whole")
        if moment == "noted":
            monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            journal.publish(record)
        raise KeyboardInterrupt
    assert pending(tmp_path / "prep" / "a").exists()
    assert Journal(folder_work(tmp_path, size=1)).finished == {}
    assert os.listdir(tmp_path / "prep") == []


def test_a_file_from_elsewhere_is_taken_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "dump.bin").write_bytes(b"result")
    job = folder_work(tmp_path, size=1)
    with Journal(job) as journal:
        journal.take(tmp_path / "dump.bin", "a_1.bin", job.root)
    again = Journal(folder_work(tmp_path, size=1)).finished["a_1.bin"]
    assert (again.path, again.sha256) == ("prep/a_1.bin", hashlib.sha256(b"result").hexdigest())
    assert not (tmp_path / "dump.bin").exists()


def test_a_finished_file_that_changed_is_done_again(tmp_path: Path) -> None:
    fill(tmp_path, ["a", "b"], size=1)
    (tmp_path / "prep" / "a").write_text("somebody else's")
    assert sorted(Journal(folder_work(tmp_path, size=1)).finished) == ["b"]
    assert os.listdir(tmp_path / "prep") == ["b"]


def test_another_run_s_files_never_mix_in(tmp_path: Path) -> None:
    fill(tmp_path, ["a", "b"], size=1)
    assert Journal(folder_work(tmp_path, size=2)).finished == {}
    assert os.listdir(tmp_path / "prep") == []


def test_files_of_a_finished_run_are_replaced(tmp_path: Path) -> None:
    job = fill(tmp_path, ["a"], size=1)
    job.finish([tmp_path / "prep" / "a"])
    assert Journal(folder_work(tmp_path, size=2)).finished == {}
    assert os.listdir(tmp_path / "prep") == []


def test_a_folder_with_files_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prep").mkdir()
    (tmp_path / "prep" / "thesis.doc").write_text("precious")
    with pytest.raises(InputError, match=r"thesis\.doc"):
        Journal(folder_work(tmp_path, size=1))
    assert (tmp_path / "prep" / "thesis.doc").read_text() == "precious"


def test_the_version_of_cann_is_part_of_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from portproof.host import cann
    from portproof.proof.sidecar import environment

    monkeypatch.setattr(cann, "roots", lambda: [str(tmp_path / "nowhere"), str(tmp_path)])
    assert "cann" not in environment()
    folder = tmp_path / f"{platform.machine()}-linux"
    folder.mkdir()
    (folder / "ascend_toolkit_install.info").write_text(
        "package_name=Ascend-cann-toolkit\nversion=6.3.RC1\narch=x86_64\n"
    )
    assert environment()["cann"] == "6.3.RC1"
    (folder / "ascend_toolkit_install.info").write_text("no version\n")
    (tmp_path / "ascend_nnae_install.info").write_text("version = 5.1.RC2\n")
    assert cann.version() == "5.1.RC2"


def test_where_cann_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from portproof.host import cann

    monkeypatch.setenv("ASCEND_TOOLKIT_HOME", "/opt/cann")
    monkeypatch.delenv("ASCEND_HOME_PATH", raising=False)
    assert cann.roots()[:2] == ["/opt/cann", "/usr/local/Ascend/ascend-toolkit/latest"]


def test_the_name_of_a_processor_is_noted_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A colon in it is a part of it: what is cut off could be all that tells two hosts apart."""
    cpuinfo = "processor\t: 0\nmodel name\t: Virtual CPU: rev 2 @ 2.60GHz\nflags\t\t: fpu\n"
    monkeypatch.setattr(sidecar, "open", lambda *_, **__: io.StringIO(cpuinfo), raising=False)
    assert sidecar.environment()["processor"] == "Virtual CPU: rev 2 @ 2.60GHz"
