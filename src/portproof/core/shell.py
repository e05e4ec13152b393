"""External programs: run as argument lists, never through a shell, with their output kept in a log
file.

Vendor programs get an environment without our virtual environment: ``atc`` brings its own Python
packages and must not load those of the virtual environment.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import portproof
from portproof.core.errors import InputError, ToolError
from portproof.core.files import tail_of

#: The environment variable that names a folder with vendor programs that are not on the PATH.
TOOLS = "PORTPROOF_TOOLS"
#: Seconds that a program gets to end after SIGINT, and again after SIGTERM, before it is killed.
_GRACE_S = 10.0
#: From Linux's <sys/prctl.h>; loaded beforehand, since little may be done between fork and exec.
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Finished:
    """A program that ended by itself: its exit code (negative: the signal that killed it), where
    its output is, and wall seconds.
    """

    command: tuple[str, ...]
    exit_code: int
    log: Path
    seconds: float

    @property
    def output(self) -> str:
        """All that it printed, undecodable bytes replaced."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def how(self) -> str:
        """How it ended, in words.

        >>> Finished(("atc",), -11, Path("atc.log"), 1.0).how
        'was killed by SIGSEGV'
        """
        if self.exit_code >= 0:
            return f"ended with exit code {self.exit_code}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-self.exit_code).name}"
        return f"was killed by signal {-self.exit_code}"

    def failure(self, what: str) -> ToolError:
        """The error that says ``what`` went wrong, with the command, the log and its last lines."""
        return ToolError(
            f"{what}; the command was: {spelled(self.command)}; its log is {self.log}",
            tail_of(self.log),
        )


def run_program(
    command: Sequence[str | os.PathLike[str]],
    log: Path,
    *,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
    errors_log: Path | None = None,
) -> Finished:
    """Run a program to its end, its output streamed to ``log`` (stderr too, unless ``errors_log``
    is given).

    ``environment`` is the whole environment (default: :func:`vendor_environment`). Ctrl-C and
    SIGTERM are passed on to the program and all it started, which get a few seconds to end. Raises
    :class:`ToolError` when it cannot be started or exceeds ``timeout_s``; its exit code is for the
    caller to judge.
    """
    words = tuple(os.fspath(word) for word in command)
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(log, "wb"))
        errors = stack.enter_context(open(errors_log, "wb")) if errors_log else subprocess.STDOUT
        try:
            process = start_program(
                words,
                cwd=cwd,
                env=dict(vendor_environment() if environment is None else environment),
                stdout=output,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise ToolError(
                f"'{words[0]}' could not be started ({error.strerror}): check that it is installed"
                " and executable"
            ) from error
        stack.enter_context(interrupted_by_sigterm())
        try:
            process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            stop_like_ctrl_c([process], _GRACE_S)
            raise ToolError(
                f"'{words[0]}' was stopped after {timeout_s:g} s without an end; the command was:"
                f" {spelled(words)}",
                tail_of(log),
            ) from None
        except BaseException:
            stop_like_ctrl_c([process], _GRACE_S)
            raise
    return Finished(words, process.returncode, log, time.monotonic() - started)


def start_program(
    command: Sequence[str], *, held: bool = False, **options: Any
) -> subprocess.Popen[Any]:
    """``subprocess.Popen`` that no interrupt cuts short, which would leave a program that nobody
    stops: what Ctrl-C and SIGTERM raise meanwhile is raised after the start, the program stopped.

    ``held``: for commands of ours. They start with these signals blocked, and take them once they
    can end with a sentence; a Python that still starts would print a traceback.
    """
    if threading.current_thread() is not threading.main_thread():
        return subprocess.Popen(command, **options)
    arrived: list[int] = []
    # A signal that is ignored stays so, since the program inherits that.
    previous = {
        number: signal.signal(number, lambda number, frame: arrived.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(signal.getsignal(number))
    }
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, previous if held else ())
    process = None
    try:
        process = subprocess.Popen(command, **options)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if process is None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for late in arrived:
            signal.raise_signal(late)
    except BaseException:
        stop_like_ctrl_c([process])
        raise
    return process


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Inside, SIGTERM raises KeyboardInterrupt as Ctrl-C does, so that a child is stopped and not
    left behind. Does nothing outside the main thread, where Python handles no signals, and where
    somebody handles it already, as every command does.
    """
    is_handled = callable(signal.getsignal(signal.SIGTERM))
    if is_handled or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def stop_like_ctrl_c(processes: Sequence[subprocess.Popen[Any]], patience_s: float = 20) -> None:
    """End programs as Ctrl-C does, so that they leave a state from which they continue: SIGINT to
    all, SIGTERM to those that still run after ``patience_s``, and SIGKILL after as long again.

    The programs that a process started end with it if the process leads a group of its own
    (``start_new_session=True``).
    """
    running = list(processes)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for process in running:
            _send(process, number)
        deadline = time.monotonic() + patience_s
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        running = [process for process in running if process.returncode is None]
    for process in processes:
        _send(process, signal.SIGKILL)


def _send(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Send a signal to the group that a process leads, even if the process itself has ended; to the
    process alone if it leads none.
    """
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        process.send_signal(number)


def own_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a process that runs this package: our source first on ``PYTHONPATH``."""
    path = [own_source(), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(path)}


def vendor_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment without our own entries: our virtual environment in ``PATH`` and
    ``PYTHONPATH``, ``VIRTUAL_ENV`` and ``PYTHONHOME``.

    What the vendor's ``set_env.sh`` put there stays. ``base`` defaults to this process's
    environment.
    """
    kept = {
        k: v
        for k, v in (os.environ if base is None else base).items()
        if k not in ("VIRTUAL_ENV", "PYTHONHOME")
    }
    own = [own_source()] + ([sys.prefix] if sys.prefix != sys.base_prefix else [])
    for name in ("PATH", "PYTHONPATH"):
        if name in kept:
            kept[name] = os.pathsep.join(
                p for p in kept[name].split(os.pathsep) if p and not _is_in(p, own)
            )
            if not kept[name]:
                del kept[name]
    return kept


def own_source() -> str:
    """The folder that holds the package ``portproof``."""
    return os.path.dirname(os.path.dirname(os.path.abspath(portproof.__file__)))


def _is_in(path: str, folders: Sequence[str]) -> bool:
    absolute = os.path.abspath(path)
    return any(
        absolute == folder or absolute.startswith(folder.rstrip(os.sep) + os.sep)
        for folder in folders
    )


def find_program(names: Sequence[str], folders: Sequence[str] = (), hint: str = "") -> Path:
    """The first of ``names`` on the vendor's ``PATH`` or in ``folders``; :class:`InputError` with
    ``hint`` when there is none.
    """
    path = vendor_environment().get("PATH", "")
    for name in names:
        place = shutil.which(name, path=os.pathsep.join([path, *folders]))
        if place:
            return Path(place)
    raise InputError(
        f"the program '{' or '.join(names)}' was not found on this"
        f" host{'; ' + hint if hint else ''}"
    )


def tool_folders() -> list[str]:
    """Where a tool may be that is not on the PATH: the working directory, and the folder that
    ``PORTPROOF_TOOLS`` names, which a port sets to the one that it was started in, since its steps
    run in the run directory.
    """
    return [os.getcwd(), *filter(None, [os.environ.get(TOOLS)])]


def spelled(command: Sequence[str]) -> str:
    """A command as a user would type it."""
    return shlex.join(command)


def die_with_parent() -> None:
    """Runs in the new process: when we are killed, Linux kills it too, so that it does not go on
    using the device and writing files.
    """
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
