"""The errors a user can act on, and the one place that turns any error into an exit code.

Exit codes, everywhere: 0 done or PASS; 1 a verdict is FAIL, or an audit or a verification found
something; 2 wrong usage or bad input; 3 a tool or a device failed; 4 UNDECIDED or UNSTABLE; 70 an
error of our own; 130 interrupted, by Ctrl-C or by SIGTERM.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from portproof.core.interrupts import EXIT_INTERRUPTED, catch_interrupts, interrupts

EXIT_DONE = 0
EXIT_FAIL = 1
EXIT_BAD_INPUT = 2
EXIT_TOOL = 3
EXIT_UNDECIDED = 4
EXIT_INTERNAL = 70


class PortProofError(Exception):
    """An error whose text is one sentence: what happened, what was expected, what to do."""

    exit_code = EXIT_INTERNAL


class InputError(PortProofError):
    """Wrong usage or bad input: a missing, malformed or contradictory file, option or value."""

    exit_code = EXIT_BAD_INPUT


class MissingPackageError(InputError):
    """A Python package that this command needs is not installed on this host."""

    def __init__(self, package: str, needed_for: str, extra: str) -> None:
        super().__init__(
            f"the Python package '{package}' is not installed here and {needed_for} needs it: "
            f"pip install 'portproof[{extra}]' (or pip install {package})"
        )


class ToolError(PortProofError):
    """A tool, a device or the file system failed; ``log_tail`` holds the last lines printed."""

    exit_code = EXIT_TOOL

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail


_AGAIN = "then start the same command again; it continues"
_SPACE = f"free some space or choose another folder, {_AGAIN}"
#: What fails under a command without its doing: what happened, and what to do.
_HOST = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EIO: ("the disk failed", f"choose another folder, {_AGAIN}"),
    errno.EROFS: ("the file system is read-only", f"choose another folder, {_AGAIN}"),
    errno.EFBIG: ("a file may not be as large as this", f"raise the limit (ulimit -f), {_AGAIN}"),
    errno.EAGAIN: ("no more processes can be started", f"raise the limit (ulimit -u), {_AGAIN}"),
    errno.EMFILE: ("no more files can be opened", f"raise the limit (ulimit -n), {_AGAIN}"),
}
_NO_THREADS = (
    "no more threads or processes can be started on this host: end others, raise the limit"
    " (ulimit -u), or use fewer --workers"
)
#: What Python, a C library, ONNX Runtime and C++ say then; of a file, a pipe that nobody fills.
_STARVED = ("start new thread", "pthread_create", "PosixThread", os.strerror(errno.EAGAIN))
#: What the dynamic linker says when a library finds no room in memory.
_NO_ROOM = ("failed to map segment", "annot allocate memory")


def sentence_for(error: OSError) -> tuple[str, int]:
    """One sentence and an exit code for an operating-system error.

    A missing or forbidden path is bad input (2); a host that fails under us a failed device (3).
    """
    where = f" ({error.filename!r})" if error.filename else ""
    # Of a file, EAGAIN is a pipe that nobody fills; else a process that cannot be started.
    if error.errno in _HOST and not (where and error.errno == errno.EAGAIN):
        happened, to_do = _HOST[error.errno]
        return f"{happened}{where}: {to_do}", EXIT_TOOL
    words = f"{error.strerror or error}{where}: check that the path exists and that you may use it"
    return words, EXIT_BAD_INPUT


def exit_code_of(main: Callable[[], int]) -> int:
    """Run ``main`` and turn whatever it raises into one sentence on stderr and an exit code."""
    open_standard_streams()
    try:
        code = main()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        # OpenBLAS sends itself this signal when numpy is imported where no thread can be started.
        if not _can_start_threads():
            say_error(_NO_THREADS)
            return EXIT_TOOL
    except Exception as error:
        # A library, or our own word on a missing one, may have made an error of its own of it.
        if not interrupts.arrived:
            return _said(error)
    say_error(interrupts.sentence)
    return EXIT_INTERRUPTED


def _said(error: Exception) -> int:
    """Say what an error means to the user; the exit code."""
    code = EXIT_INTERNAL
    if isinstance(error, BrokenPipeError):
        # The reader of our output went away (`| head`): not an error; keep the interpreter from
        # complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    if not isinstance(error.__cause__ or error, OSError) and any(s in str(error) for s in _STARVED):
        sentence, code = _NO_THREADS, EXIT_TOOL
    elif isinstance(error, PortProofError):
        if tail := getattr(error, "log_tail", ""):
            print(tail.rstrip("\n"), file=sys.stderr)
        sentence, code = str(error), error.exit_code
    elif isinstance(error, OSError):
        sentence, code = sentence_for(error)
    elif isinstance(error, MemoryError):
        sentence, code = "out of memory: use a smaller --batch or fewer --workers", EXIT_TOOL
    elif known := _known_limit(error):
        sentence, code = known
    else:
        sentence = (
            f"internal error: {type(error).__name__}: {_one_line(str(error))}; the traceback is in"
            f" {_write_traceback(error)}; please report it"
        )
    say_error(sentence)
    return code


def _known_limit(error: Exception) -> tuple[str, int] | None:
    """A sentence and an exit code for what Python raises without a class of its own."""
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return (
            "a path with a NUL character in it was given, which no file has; correct it",
            EXIT_BAD_INPUT,
        )
    if isinstance(error, UnicodeEncodeError) and "surrogates" in error.reason:
        name = error.object[max(0, error.start - 60) : error.end + 60]
        return f"a file name that is not UTF-8 was met ({name!r}); rename the file", EXIT_BAD_INPUT
    if isinstance(error, ImportError) and any(w in str(error) for w in _NO_ROOM):
        return (
            f"out of memory while a library was loaded ({_one_line(str(error))}): end other"
            " programs, or raise the limit (ulimit -v)",
            EXIT_TOOL,
        )
    return None


def _can_start_threads() -> bool:
    import threading

    try:
        threading.Thread(target=lambda: None, daemon=True).start()
    except RuntimeError:
        return False
    return True


def open_standard_streams() -> None:
    """Open the standard streams that the caller closed (``>&-``) on the null device.

    Python has None for such a stream, and the next file that is opened would get its descriptor:
    what a library or a child prints would then go into that file.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 - open to the end
            setattr(sys, name, stream)


def exit_with(main: Callable[[], int]) -> NoReturn:
    """Run ``main`` and leave the process with its exit code."""
    catch_interrupts()
    interrupts.process, interrupts.is_working = os.getpid(), True
    code = EXIT_INTERRUPTED
    try:
        code = exit_code_of(main)
    except SystemExit as error:  # of the argument parser
        code = error.code if isinstance(error.code, int) else EXIT_DONE
    finally:
        interrupts.code = code
    sys.exit(code)


def say_error(sentence: str) -> None:
    """Print one error sentence on stderr, with control characters made visible."""
    print(f"portproof: error: {_one_line(sentence)}", file=sys.stderr, flush=True)


def _one_line(text: str) -> str:
    from portproof.core.text import printable

    return printable(" ".join(text.split()))


def _write_traceback(error: Exception) -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="portproof-", suffix=".traceback.txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exception(error, file=file)
        return file.name
