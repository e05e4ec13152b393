"""Running external programs: logs, timeouts, signals, and an environment without ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError, ToolError
from portproof.core.shell import (
    find_program,
    interrupted_by_sigterm,
    own_environment,
    run_program,
    start_program,
    stop_like_ctrl_c,
    vendor_environment,
)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def test_output_and_errors_go_to_one_log_in_order(tmp_path: Path) -> None:
    done = run_program(
        python(
            "import os; os.write(1, b'one\\n'); os.write(2, b'two\\n'); os.write(1, b'\\xff\\n');"
            " raise SystemExit(7)"
        ),
        tmp_path / "a" / "log",
    )
    assert (done.exit_code, done.output) == (7, "one\ntwo\n\ufffd\n")
    error = done.failure("the tool failed")
    assert "the tool failed; the command was: " in str(error)
    assert str(tmp_path / "a" / "log") in str(error)
    assert error.log_tail.splitlines()[:2] == ["one", "two"]
    assert error.exit_code == 3


def test_errors_can_have_a_log_of_their_own(tmp_path: Path) -> None:
    done = run_program(
        python("import os; os.write(1, b'out'); os.write(2, b'err')"),
        tmp_path / "out",
        errors_log=tmp_path / "err",
    )
    assert (done.output, (tmp_path / "err").read_text()) == ("out", "err")


def test_arguments_are_never_read_by_a_shell(tmp_path: Path) -> None:
    done = run_program(
        [*python("import sys; print(sys.argv[1])"), "a; echo b $HOME `id`"], tmp_path / "log"
    )
    assert done.output == "a; echo b $HOME `id`\n"


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"'\./none' could not be started"):
        run_program(["./none"], tmp_path / "log")


def test_a_program_killed_by_a_signal_says_which(tmp_path: Path) -> None:
    assert (
        run_program(
            python("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"), tmp_path / "log"
        ).how
        == "was killed by SIGSEGV"
    )


def test_a_timeout_ends_the_program_and_what_it_started(tmp_path: Path) -> None:
    code = """
        import subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
        time.sleep(60)
    """
    with pytest.raises(ToolError, match="was stopped after 1 s") as caught:
        run_program(python(code), tmp_path / "log", timeout_s=1)
    assert_ends(int(caught.value.log_tail.split()[0]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_us_ends_the_program_too(
    tmp_path: Path, root: Path, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    code = f"""
        import sys
        sys.path.insert(0, {str(root / "src")!r})
        from pathlib import Path
        from portproof.core.shell import run_program
        run_program([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"], Path({str(log)!r}))
    """
    ours = subprocess.Popen(python(code), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not (log.is_file() and log.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    ours.send_signal(number)
    _, errors = ours.communicate(timeout=40)
    assert "KeyboardInterrupt" in errors
    assert_ends(int(log.read_text().split()[0]))


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} is still there")


#: Prints its process id, then does what the body says with each signal until it is stopped.
STUBBORN = """
    import os, signal, time
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: {body})
    print(os.getpid(), flush=True)
    while True:
        time.sleep(0.05)
"""


def started(code: str, **options: Any) -> subprocess.Popen[str]:
    process = subprocess.Popen(python(code), stdout=subprocess.PIPE, text=True, **options)
    assert process.stdout is not None
    process.stdout.readline()  # its signal handlers are set
    return process


def test_children_are_stopped_by_the_mildest_signal_that_they_obey() -> None:
    obeys = started(STUBBORN.format(body="os._exit(number)"))
    late = started(STUBBORN.format(body="number == signal.SIGTERM and os._exit(number)"))
    never = started(STUBBORN.format(body="None"))
    began = time.monotonic()
    stop_like_ctrl_c([obeys, late, never], patience_s=0.5)
    assert time.monotonic() - began < 5
    assert obeys.returncode == signal.SIGINT
    assert late.returncode == signal.SIGTERM
    assert never.returncode == -signal.SIGKILL
    stop_like_ctrl_c([obeys])  # has ended already


def test_what_a_child_started_ends_with_it_if_it_leads_a_group() -> None:
    code = """
        import subprocess, sys, time
        grandchild = "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", grandchild])
        print(child.pid, flush=True)
        print(child.pid, flush=True)
        time.sleep(60)
    """
    leader = started(code, start_new_session=True)
    assert leader.stdout is not None
    grandchild = int(leader.stdout.readline())
    time.sleep(0.5)  # the grandchild ignores SIGINT from here on
    stop_like_ctrl_c([leader], patience_s=5)
    assert leader.returncode == -signal.SIGINT
    assert_ends(grandchild)


def test_sigterm_is_an_interrupt_inside_and_itself_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interrupted_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    assert signal.getsignal(signal.SIGTERM) == before
    problems: list[BaseException] = []

    def in_a_thread() -> None:
        try:
            with interrupted_by_sigterm():
                pass
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert not problems


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_program_that_is_started_as_an_interrupt_arrives_is_stopped(
    number: int, held: bool, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"

    def interrupt_the_parent() -> None:
        pid.write_text(str(os.getpid()))
        os.kill(os.getppid(), number)

    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with interrupted_by_sigterm(), pytest.raises(KeyboardInterrupt):
        start_program(
            python("import signal, time; signal.pthread_sigmask(signal.SIG_SETMASK, [])\n"
                   "time.sleep(60)"),
            held=held,
            preexec_fn=interrupt_the_parent,
        )  # fmt: skip
    assert not Path(f"/proc/{pid.read_text()}").exists()
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_held_program_starts_with_the_signals_blocked_and_we_do_not_stay_so() -> None:
    code = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
    with interrupted_by_sigterm():
        process = start_program(python(code), held=True, stdout=subprocess.PIPE, text=True)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
        with pytest.raises(FileNotFoundError):
            start_program(["no-such-program"], held=True)
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    assert process.communicate(timeout=60)[0] == f"{signal.SIGINT:d} {signal.SIGTERM:d}\n"


def test_a_program_inherits_that_we_ignore_ctrl_c() -> None:
    code = "import signal; print(signal.getsignal(signal.SIGINT).name)"
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start_program(python(code), stdout=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert process.communicate(timeout=60)[0] == "SIG_IGN\n"


def test_a_child_with_our_environment_imports_our_source(tmp_path: Path, root: Path) -> None:
    source, theirs = str(root / "src"), str(tmp_path)
    assert own_environment({"A": "b"}) == {"A": "b", "PYTHONPATH": source}
    environment = own_environment({**os.environ, "PYTHONPATH": theirs})
    assert environment["PYTHONPATH"] == os.pathsep.join([source, theirs])
    (tmp_path / "portproof").mkdir()  # another package of this name later on the path
    (tmp_path / "portproof" / "__init__.py").touch()
    place = subprocess.run(
        python("import portproof; print(portproof.__file__)"),
        env=environment,
        cwd="/",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert Path(place.strip()) == root / "src" / "portproof" / "__init__.py"


def test_the_vendor_environment_is_without_ours_and_keeps_the_vendors(
    monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/me/.venv")
    given = {
        "PATH": "/home/me/.venv/bin:/usr/local/Ascend/bin:/home/me/.venvs/bin:/usr/bin",
        "PYTHONPATH": f"{root / 'src'}:/usr/local/Ascend/python/site-packages:/home/me/.venv/lib",
        "VIRTUAL_ENV": "/home/me/.venv",
        "PYTHONHOME": "/x",
        "LD_LIBRARY_PATH": "/usr/local/Ascend/lib64",
    }
    assert vendor_environment(given) == {
        "PATH": "/usr/local/Ascend/bin:/home/me/.venvs/bin:/usr/bin",
        "PYTHONPATH": "/usr/local/Ascend/python/site-packages",
        "LD_LIBRARY_PATH": "/usr/local/Ascend/lib64",
    }
    assert "PYTHONPATH" not in vendor_environment({"PYTHONPATH": str(root / "src")})


def test_a_program_is_found_on_the_path_then_in_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        tool = tmp_path / folder / "tool"
        tool.parent.mkdir()
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "none"), str(tmp_path / "a")]))
    assert find_program(["tool"], [str(tmp_path / "b")]) == tmp_path / "a" / "tool"
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    assert find_program(["other", "tool"], [str(tmp_path / "b")]) == tmp_path / "b" / "tool"
    with pytest.raises(InputError, match="'other or none' was not found on this host; source it"):
        find_program(["other", "none"], hint="source it")
