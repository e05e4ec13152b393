"""Values with commas or spaces, one-sentence usage errors, and work that a library may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from portproof.core.arguments import Parser, positive


def parser() -> Parser:
    p = Parser("Test.", example="test 1")
    p.add_argument("name")
    p.add_values("--batch", type=positive, default=[1])
    return p


@pytest.mark.parametrize(
    "words",
    [
        ["--batch", "1,4,8"],
        ["--batch", "1", "4", "8"],
        ["--batch", "1,4", "8"],
        ["--batch", "1", "--batch", "4,8"],
        ["--batch=1,4,8"],
    ],
)
def test_commas_and_spaces(words: list[str]) -> None:
    assert parser().parse_args(["x", *words]).batch == [1, 4, 8]


def test_the_default_is_not_added_to() -> None:
    assert parser().parse_args(["x", "--batch", "2"]).batch == [2]
    assert parser().parse_args(["x"]).batch == [1]


@pytest.mark.parametrize(
    "words",
    [
        ["x", "--batch", "0"],
        ["x", "--batch", "a"],
        ["x", "--batch", ","],
        [],
        ["x", "--nope"],
        ["x", "--bat", "1"],
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parser().parse_args(words)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--help" in said


WORK = """
import argparse, ctypes, os, signal, sys, time
from portproof.core.arguments import Parser, run_stage

def work(options):
    print("working", os.getpid(), flush=True)
    {body}
    return 0

run_stage(lambda: Parser("A test.", "none"), work, apart=True)
"""


def apart(root: Path, body: str) -> subprocess.Popen[str]:
    """A command that does its work in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", WORK.format(body=body)],
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("lacks", "error"),
    [("os.fork", "OSError(12, 'x')"), ("tempfile.mkstemp", "OSError(24, 'x')")],
)
def test_where_no_file_or_room_can_be_had_the_work_goes_on_in_this_process(
    root: Path, lacks: str, error: str
) -> None:
    process = without(root, lacks, error)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out.split() == ["working", str(process.pid)]
    assert "Traceback" not in err


def test_where_no_process_can_be_had_nothing_is_begun(root: Path) -> None:
    """A library that gets no thread may end the process without a word of ours."""
    out, err = without(root, "os.fork", "BlockingIOError(11, 'x')").communicate(timeout=60)
    assert out == ""
    assert err.startswith("portproof: error: no more processes can be started: raise the limit")


def without(root: Path, lacks: str, error: str) -> subprocess.Popen[str]:
    """The command, where a function that it needs raises an error."""
    text = WORK.format(body="os.kill(os.getpid(), signal.SIGTERM)")
    fails = f"def none(*a): raise {error}\nimport tempfile\n{lacks} = none\n"
    at = text.index("run_stage(lambda")
    return subprocess.Popen(
        [sys.executable, "-c", text[:at] + fails + text[at:]],
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("pass", 0, ""),
        ("return 4", 4, ""),
        ("return 1", 1, ""),
        ("sys.exit(1)", 1, ""),
        ("ctypes.CDLL(None).exit(1)", 3, "error: a library ended the process that did the work"),
        ("raise FileNotFoundError(2, 'No such file', 'x.onnx')", 2, "error: No such file ('x.on"),
        ("ctypes.string_at(0)", 3, "error: a library crashed (SIGSEGV) while it did its part"),
        ("os.abort()", 3, "error: a library crashed (SIGABRT) while it did its part"),
        ("os.kill(os.getpid(), 9)", 3, "killed by SIGKILL (most often: the host's memory"),
    ],
)
def test_a_death_of_what_works_apart_is_one_sentence(
    root: Path, body: str, code: int, words: str
) -> None:
    process = apart(root, body)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out.split()[0] == "working" and int(out.split()[1]) != process.pid
    assert err.count("portproof: error: ") == (1 if words else 0)
    assert words in err and "Traceback" not in err


@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_works_apart_is_interrupted_once(root: Path, number: int, group: bool) -> None:
    tidy = "time.sleep(0.3); print('tidied', flush=True)"
    # In short pieces: a signal that comes between the last instruction and a sleep waits for its end.
    sleep = "[time.sleep(0.1) for _ in range(600)]"
    work = f"\n    try: print('in it', flush=True); {sleep}\n    finally: {tidy}"
    process = apart(root, work)
    assert process.stdout is not None
    assert process.stdout.readline() and process.stdout.readline() == "in it\n"
    (os.killpg if group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "tidied\n"), err
    assert err.count("portproof: error: ") == 1 and "Traceback" not in err


def test_what_works_apart_dies_with_who_waits_for_it(root: Path) -> None:
    process = apart(root, "time.sleep(60)")
    assert process.stdout is not None
    pid = int(process.stdout.readline().split()[1])
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/status").exists():
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.communicate()
