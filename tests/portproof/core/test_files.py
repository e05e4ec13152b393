"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.core.files import (
    atomic_writer,
    digest_of,
    existing_file,
    existing_folder,
    flush_to_disk,
    read_text,
    tail_of,
    write_bytes,
    write_text,
)


def test_an_interrupted_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(KeyboardInterrupt), atomic_writer(target) as file:
        file.write(b"half of the new")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_new_file_has_the_mode_of_a_plain_one(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "x")
    (tmp_path / "plain").write_text("x")
    modes = {stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("ours", "plain")}
    assert len(modes) == 1


def test_digests_match_hashlib(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "f").write_bytes(data)
    assert digest_of(tmp_path / "f", "md5") == hashlib.md5(data).hexdigest()
    assert digest_of(tmp_path / "f", "sha256") == hashlib.sha256(data).hexdigest()


def test_errors_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        existing_file(tmp_path / "nowhere", "labels")
    with pytest.raises(InputError, match="is a folder"):
        existing_file(tmp_path, "labels")
    with pytest.raises(InputError, match="nowhere"):
        existing_folder(tmp_path / "nowhere", "images")
    (tmp_path / "gbk").write_bytes("标签".encode("gbk"))
    with pytest.raises(InputError, match="not UTF-8"):
        read_text(tmp_path / "gbk", "labels")


def test_a_byte_order_mark_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfa 1\n")
    assert read_text(tmp_path / "bom", "labels") == "a 1\n"


def test_the_tail_of_a_log_is_safe_to_print(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"%d\n" % i for i in range(30)) + b"10%\r50%\r100%\r\n\x1b[31mred\n\n")
    assert tail_of(log, 4).splitlines() == ["10%", "50%", "100%", "\\x1b[31mred"]
    assert len(tail_of(log).splitlines()) == 20
    assert tail_of(tmp_path / "none") == ""


def test_the_tail_of_a_log_has_no_traceback_but_its_reason(tmp_path: Path) -> None:
    log = tmp_path / "tool.log"
    log.write_text(
        "[ERROR] arg0 tensorsize: 768 filesize: 5 not match\n"
        "Traceback (most recent call last):\n"
        '  File "a.py", line 1, in <module>\n'
        "    main()\n"
        "    ^^^^^^\n"
        "RuntimeError: [1][ACL: invalid parameter] \n"
        "[INFO] end to finalize acl\n"
    )
    assert tail_of(log).splitlines() == [
        "[ERROR] arg0 tensorsize: 768 filesize: 5 not match",
        "RuntimeError: [1][ACL: invalid parameter] ",
        "[INFO] end to finalize acl",
    ]


def test_bytes_are_on_the_disk_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b))[1])
    write_bytes(tmp_path / "a", b"x")
    assert done == ["fsync", "replace"]
    with atomic_writer(tmp_path / "b", durable=False) as file:
        file.write(b"x")
    assert done[2:] == ["replace"]
    monkeypatch.setattr(os, "sync", lambda: done.append("sync"))
    flush_to_disk()
    assert done[3:] == ["sync"]
