"""Every error ends in one sentence and the right exit code."""

from __future__ import annotations

import errno
import sys
import threading
from pathlib import Path

import pytest

from portproof.core import errors
from portproof.core.errors import InputError, MissingPackageError, ToolError, exit_code_of


def failing(error: BaseException) -> int:
    def main() -> int:
        raise error

    return exit_code_of(main)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("no such thing"), 2, "no such thing"),
        (ToolError("atc failed", "E10001: bad value"), 3, "atc failed"),
        (KeyboardInterrupt(), 130, "start the same command again"),
        (OSError(errno.ENOSPC, "No space left on device", "x.bin"), 3, "the disk is full"),
        (OSError(errno.EMFILE, "Too many open files", "x.bin"), 3, "ulimit -n"),
        (OSError(errno.EFBIG, "File too large"), 3, "ulimit -f"),
        (ImportError("libtorch.so: failed to map segment from shared object"), 3, "out of memory"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"), 2, "No such file"),
        (MemoryError(), 3, "out of memory"),
    ],
)
def test_exit_codes(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error) == code
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.strip().splitlines()[-1].startswith("portproof: error: ")
    assert captured.out == ""


def test_a_failed_tool_shows_the_end_of_its_log(capsys: pytest.CaptureFixture[str]) -> None:
    failing(ToolError("atc failed", "line 1\nE10001: bad value\n"))
    assert "E10001: bad value" in capsys.readouterr().err


def test_our_own_errors_leave_a_traceback_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(ZeroDivisionError("half\nlines")) == 70
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    path = Path(
        next(word for word in said.replace(";", " ").split() if word.endswith(".traceback.txt"))
    )
    assert "ZeroDivisionError" in path.read_text()
    path.unlink()


def test_a_hostile_name_cannot_repaint_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    failing(InputError("the file 'a\x1b[2Jb\u202e' is bad"))
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_success_is_passed_through() -> None:
    assert exit_code_of(lambda: 4) == 4
    assert sys.stdout


@pytest.mark.parametrize(
    "error",
    [
        MissingPackageError("onnxruntime", "the backend 'ort'", "ort"),
        ToolError("the child ended"),
        OSError(errno.EIO, "input/output"),
        ImportError("initialisation failed"),
    ],
)
def test_what_an_interrupt_was_made_into_is_still_an_interrupt(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(errors.interrupts, "arrived", 2)
    assert failing(error) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupt_that_a_library_sent_for_want_of_threads_is_said_to_be_that(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert failing(KeyboardInterrupt()) == 3
    assert "no more threads" in capsys.readouterr().err


@pytest.mark.parametrize(
    "said",
    [
        "can't start new thread",
        "ONNX Runtime does not accept 'm.onnx': PosixThread::PosixThread(const char*, int, uns",
        "the model fails on 2 samples: RuntimeError: Resource temporarily unavailable",
    ],
)
@pytest.mark.parametrize("kind", [errors.InputError, RuntimeError])
def test_want_of_threads_is_the_hosts_fault_whatever_failed_for_it(
    said: str, kind: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(kind(said)) == 3
    assert capsys.readouterr().err.startswith("portproof: error: no more threads or processes can")


def test_a_pipe_that_nobody_fills_is_no_want_of_threads(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.InputError("'labels.txt' cannot be read: Resource temporarily unavailable")
    error.__cause__ = BlockingIOError(11, "Resource temporarily unavailable")
    assert failing(error) == 2
    assert "'labels.txt' cannot be read" in capsys.readouterr().err
