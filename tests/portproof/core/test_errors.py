"""Every error ends in one sentence and the right exit code."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from portproof.core.errors import InputError, ToolError, exit_code_of


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
