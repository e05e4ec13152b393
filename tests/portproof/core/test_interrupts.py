"""Ctrl-C and SIGTERM end every command with one sentence and exit code 130, also while it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

#: Stops the import of one module until the process is interrupted; then lets the interrupt through,
#: makes an error of its own of it as extension modules do, or ends when nobody interrupts. It
#: sleeps in short pieces: Python does not look for a signal again between its last instruction
#: and the sleep, so one that arrives just then is seen only when the sleep is over.
BLOCKER = """
import os, sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["BLOCKED"]:
            open(os.environ["REACHED"], "w").close()
            try:
                for _ in range(600):
                    time.sleep(0.1)
            except KeyboardInterrupt:
                if os.environ["SWALLOWED"] == "1":
                    raise ImportError("initialisation failed") from None
                raise

sys.meta_path.insert(0, Finder())
"""


def wait_for(reached: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not reached.exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("command", "blocked", "swallowed"),
    [
        (["infer/run.py", "m.onnx", "--info", "i", "--out", "o"], "portproof.infer", "0"),
        (["infer/run.py", "m.onnx", "--info", "i", "--out", "o"], "numpy", "0"),
        (["infer/run.py", "m.onnx", "--info", "i", "--out", "o"], "numpy", "1"),
        (["metrics/topn.py", "r", "l.txt"], "numpy", "0"),
        (["convert/quantize.py", "m.onnx", "o.onnx"], "portproof.convert.precision", "0"),
        (["convert/pth2onnx.py", "w", "o.onnx", "--model", "c"], "msgspec", "0"),
        (["-m", "portproof", "why", "x"], "portproof.commands.why", "0"),
        (["-m", "portproof", "port", "--target", "cpu"], "msgspec", "1"),
        (["examples/digits/data.py", "out"], "msgspec", "0"),
    ],
)
def test_it_ends_with_one_sentence_wherever_it_is(
    root: Path,
    tmp_path: Path,
    command: list[str],
    blocked: str,
    swallowed: str,
    number: signal.Signals,
) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    reached = tmp_path / "reached"
    first = [str(root / command[0])] if command[0].endswith(".py") else command[:1]
    process = subprocess.Popen(
        [sys.executable, *first, *command[1:]],
        cwd=tmp_path,
        env=os.environ
        | {
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{root / 'src'}",
            "BLOCKED": blocked,
            "REACHED": str(reached),
            "SWALLOWED": swallowed,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(reached, process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    how = "stopped by SIGTERM" if number == signal.SIGTERM else "interrupted"
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == (
        f"portproof: error: {how}; what was finished is kept, start the same command again to"
        " continue"
    )
    assert "Traceback" not in err


#: Loads one compiled module slowly, and aborts when what it calls raises, as C++ does.
SLOW_LIBRARY = """
import importlib.machinery as machinery, os, sys, time

class Slow(machinery.ExtensionFileLoader):
    def create_module(self, spec):
        open(os.environ["REACHED"], "w").close()
        try:
            for _ in range(10):
                time.sleep(0.1)
        except BaseException:
            os.abort()
        return super().create_module(spec)

class Finder:
    def find_spec(self, name, path=None, target=None):
        spec = machinery.PathFinder.find_spec(name, path) if name == "msgspec._core" else None
        if spec:
            spec.loader = Slow(name, spec.origin)
        return spec

sys.meta_path.insert(0, Finder())
"""


def started(root: Path, folder: Path, customised: str, **options: Any) -> subprocess.Popen[str]:
    (folder / "sitecustomize.py").write_text(customised)
    return subprocess.Popen(
        [sys.executable, str(root / "convert/pth2onnx.py"), "w", "o.onnx", "--model", "c"],
        cwd=folder,
        env=os.environ
        | {
            "PYTHONPATH": f"{folder}{os.pathsep}{root / 'src'}",
            "REACHED": str(folder / "reached"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_a_library_that_is_being_loaded_is_loaded_first(root: Path, tmp_path: Path) -> None:
    process = started(root, tmp_path, SLOW_LIBRARY)
    wait_for(tmp_path / "reached", process)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err
    assert err.startswith("portproof: error: interrupted") and err.count("\n") == 1


def test_a_signal_from_before_python_was_up_is_taken_when_it_is(root: Path, tmp_path: Path) -> None:
    """As of a port whose step has only just been started."""
    process = started(
        root,
        tmp_path,
        "",
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]),
    )
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130, err
    assert err.startswith("portproof: error: interrupted") and err.count("\n") == 1


@pytest.mark.parametrize("taken_down", ["__del__", "weakref"])
def test_an_interrupt_is_not_lost_where_an_object_is_taken_down(
    root: Path, taken_down: str
) -> None:
    """Python ignores what is raised there, and prints it."""
    code = (
        "import os, signal, time, weakref; from portproof.core.errors import exit_with\n"
        "def interrupted(*_):\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    for _ in range(3): time.sleep(0.1)\n"
        "class Object:\n"
        "    def __del__(self):\n"
        "        if 'del' in os.environ['TAKEN']: interrupted()\n"
        "def main():\n"
        "    one = Object()\n"
        "    if 'ref' in os.environ['TAKEN']: weakref.finalize(one, interrupted)\n"
        "    del one\n"
        "    for _ in range(100): time.sleep(0.1)\n"
        "    return print('lost') or 0\n"
        "exit_with(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root / "src"), "TAKEN": taken_down},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.startswith("portproof: error: interrupted") and done.stderr.count("\n") == 1


def test_a_signal_that_is_ignored_stays_so(root: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        "from portproof.core.errors import exit_with;"
        "exit_with(lambda: print(signal.getsignal(signal.SIGINT).name) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "SIG_IGN\n")


def test_a_fork_of_a_command_ends_as_its_maker_asks(root: Path) -> None:
    code = (
        "import multiprocessing, time; from portproof.core.errors import exit_with\n"
        "def main():\n"
        "    fork = multiprocessing.get_context('fork'); up = fork.Event()\n"
        "    child = fork.Process(target=lambda: (up.set(), [time.sleep(0.1) for _ in range(600)]))\n"
        "    child.start(); up.wait(); child.terminate(); child.join()\n"
        "    return print(child.exitcode) or 0\n"
        "exit_with(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "-15\n", "")
