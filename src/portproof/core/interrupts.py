"""Ctrl-C and SIGTERM: every command ends with one sentence and exit code 130, wherever it is."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import time
from importlib.machinery import ExtensionFileLoader
from types import FrameType

import portproof

EXIT_INTERRUPTED = 130
#: A signal that may not be acted upon yet comes again so soon, for so long.
_SOON_S, _PATIENCE_S = 0.05, 5.0
_CALLED_BY_THE_COLLECTOR = (f"{os.sep}weakref.py", f"{os.sep}_weakrefset.py")


class Interrupts:
    """What Ctrl-C and SIGTERM do in a command. While it is only imported, they end it at once;
    while it works, they raise KeyboardInterrupt, a moment later where that would be lost or abort
    the process; when it is done, they end it with its exit code.
    """

    def __init__(self) -> None:
        self.process, self.is_working, self.at_s = os.getpid(), False, 0.0
        self.arrived: int | None = None
        self.code: int | None = None
        self.later = 0

    @property
    def sentence(self) -> str:
        """The error sentence."""
        how = "stopped by SIGTERM" if self.arrived == signal.SIGTERM else "interrupted"
        return f"{how}; what was finished is kept, start the same command again to continue"

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        if os.getpid() != self.process:  # a fork: whoever made it stops it
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            raise KeyboardInterrupt
        if self.code is not None:
            os._exit(self.code)
        if self.is_working and _may_not_raise(frame) and self._comes_again(number):
            return
        before, self.at_s = self.at_s, time.monotonic()
        if self.arrived == number and self.at_s - before < 0.5:
            return  # one press reaches us twice: as one of a group, and by who waits for us
        self.arrived = number
        if self.is_working:
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):
            os.write(2, f"portproof: error: {self.sentence}\n".encode())
        os._exit(EXIT_INTERRUPTED)

    def _comes_again(self, number: int) -> bool:
        """Send the signal again in a moment, as often as there is patience for."""
        import threading

        if self.later >= _PATIENCE_S / _SOON_S:
            return False
        again = threading.Timer(_SOON_S, os.kill, (self.process, number))
        again.daemon = True
        try:
            again.start()
        except RuntimeError:  # no more threads
            return False
        self.later += 1
        return True

    def ignore(self) -> None:
        """The exit code is settled, and the interpreter is being taken down."""
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) == self.handle:
                signal.signal(number, signal.SIG_IGN)


interrupts = Interrupts()


def catch_interrupts() -> None:
    """Let Ctrl-C and SIGTERM end this command with one sentence and exit code 130. A signal that is
    ignored (``nohup``), or that somebody handles, stays so; nothing outside the main thread.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) == usual:
            with contextlib.suppress(ValueError):
                signal.signal(number, interrupts.handle)
                # Who started us may have kept it from us until here.
                signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])
    atexit.register(interrupts.ignore)  # the first to be registered is the last to be called


def _may_not_raise(frame: FrameType | None) -> bool:
    """Whether what is raised at the ``frame`` that a signal found would be lost or worse: Python
    ignores it where an object is taken down, and C++ that is being loaded aborts the process.
    """
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.endswith(_CALLED_BY_THE_COLLECTOR):
            return True
        if code.co_name in ("create_module", "exec_module") and isinstance(
            frame.f_locals.get("self"), ExtensionFileLoader
        ):
            return True
        frame = frame.f_back
    return False


def _is_command() -> bool:
    """Whether this process was started as one of our files (those of ``portproof NAME`` begin in
    :mod:`portproof.cli`).
    """
    file: str | None = getattr(sys.modules.get("__main__"), "__file__", None)
    return file is not None and os.path.dirname(os.path.dirname(os.path.abspath(file))) in map(
        os.path.abspath, portproof.__path__
    )


# A command's other imports are still to come: most of the time in which Ctrl-C showed a traceback.
if _is_command():
    catch_interrupts()
