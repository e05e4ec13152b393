"""Command-line parsing shared by every stage file. Standard library only, so that ``--help`` is
instant.

A stage file builds its parser with :class:`Parser`, and hands it to :func:`run_stage` with the
function that does the work; that function imports what it needs when it is called.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from portproof.core.errors import EXIT_BAD_INPUT, EXIT_TOOL, InputError, exit_with, say_error

#: What a process that waits for another hands on to it.
_HANDED_ON = (signal.SIGINT, signal.SIGTERM)
_CALLS_SHOWN = 8
#: Where a process that leaves of its own accord puts the file that it shares with its parent, and
#: the exit code of one that a library made leave (OpenMP's does, where it gets no thread).
_LEFT, _LIBRARYS_EXIT = 1, 1


class Parser(argparse.ArgumentParser):
    """An argument parser with an example in its help and one-sentence errors.

    ``example`` is one command line that works; ``name`` is the command as ``portproof NAME``.
    """

    def __init__(self, description: str, example: str, **options: Any) -> None:
        super().__init__(
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **options,
        )

    def add_progress_options(self) -> None:
        """Add ``--quiet`` and ``--log-json``, for commands whose work can be long."""
        group = self.add_argument_group("progress")
        group.add_argument("--quiet", action="store_true", help="print results and errors only")
        group.add_argument(
            "--log-json", action="store_true", help="progress as one JSON object a line, on stderr"
        )

    def add_card_option(self, required: bool = False, note: str = "") -> None:
        """Add ``--model CARD``; ``note``: what else its help must explain."""
        forms = "a model card's name or path, timm:NAME, torchvision:NAME or FILE.py:CALLABLE"
        self.add_argument("--model", metavar="CARD", required=required, help=forms + note)

    def add_values(self, *flags: str, type: Callable[[str], Any] = str, **options: Any) -> None:
        """Add an option of several values, with commas, blanks, or the option repeated."""
        self.add_argument(*flags, nargs="+", type=str, action=_Values, item_type=type, **options)

    def error(self, message: str) -> NoReturn:
        """Print one sentence and leave with exit code 2."""
        say_error(f"{message}; see '{self.prog} --help'")
        sys.exit(EXIT_BAD_INPUT)


class _Values(argparse.Action):
    """Collects values separated by commas or spaces, over one or several uses of the option."""

    def __init__(self, *args: Any, item_type: Callable[[str], Any], **options: Any) -> None:
        super().__init__(*args, **options)
        self.item_type = item_type

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        seen = getattr(namespace, f"_{self.dest}_given", False)
        collected = list(getattr(namespace, self.dest) or []) if seen else []
        for word in values:
            for item in filter(None, str(word).split(",")):
                try:
                    collected.append(self.item_type(item))
                except (ValueError, argparse.ArgumentTypeError) as error:
                    parser.error(f"argument {option_string}: '{item}' is not valid ({error})")
        if not collected:
            parser.error(f"argument {option_string}: expected at least one value")
        setattr(namespace, self.dest, collected)
        setattr(namespace, f"_{self.dest}_given", True)


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1 was expected")
    return value


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("a whole number of at least 0 was expected")
    return value


def seconds(text: str) -> float:
    """A time that is not 0.

    >>> seconds("0.5")
    0.5
    """
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("seconds above 0 were expected, such as 0.5")
    return value


def share(text: str) -> float:
    """A share between 0 and 1, written in percent.

    >>> share("1%"), share("0.5%")
    (0.01, 0.005)
    """
    value = float(text.removesuffix("%")) / 100
    if not text.endswith("%") or not 0 < value < 1:
        raise argparse.ArgumentTypeError("a percentage such as 1% was expected")
    return value


def run_stage(
    parser: Callable[[], Parser],
    work: Callable[[argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
    *,
    apart: bool = False,
) -> NoReturn:
    """Parse the command line, do the work, and leave with its exit code. ``apart``: in a process of
    its own where the system can, since it calls libraries that may crash: a death by a signal then
    is one sentence and exit code 3.
    """
    watched, refused = None, None
    if apart and hasattr(signal, "sigwaitinfo") and not {"-h", "--help"} & set(sys.argv):
        try:
            watched = _watch_over_a_fork()
        except BlockingIOError as error:  # no more processes
            refused = error

    def main() -> int:
        if refused is not None:
            raise refused
        if watched is None:
            return parsed()
        signal.pthread_sigmask(signal.SIG_SETMASK, watched[0])
        try:
            return parsed()
        finally:
            os.lseek(watched[1], _LEFT, os.SEEK_SET)

    def parsed() -> int:
        # A console that cannot show a character prints a substitute; it must not turn a finished
        # job into a failure.
        for stream in (sys.stdout, sys.stderr):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                reconfigure(errors="backslashreplace")
        return work(parser().parse_args(arguments))

    exit_with(main)


def _watch_over_a_fork() -> tuple[set[int], int] | None:
    """Return in a new process, with the signals to be blocked again once it can take them, and the
    file to be put to :data:`_LEFT` when it leaves of its own accord. The present one waits for it,
    hands it the signals that it gets, and leaves as it leaves. Nothing heavy is imported yet, so
    that this costs milliseconds.

    None on a host that has no more files or no room: the work then goes on in this one, and says
    itself what it lacks. BlockingIOError on one that has no more processes: libraries need threads.
    """
    import faulthandler
    import tempfile

    from portproof.core.shell import die_with_parent

    asked = {s for s in _HANDED_ON if signal.getsignal(s) != signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {*asked, signal.SIGCHLD})
    try:
        crash, name = tempfile.mkstemp()  # a number: both processes hold it to their end
        os.unlink(name)
        pid = os.fork()
    except BlockingIOError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return None
    if pid == 0:
        die_with_parent()
        faulthandler.enable(crash)
        return before, crash
    ended = 0
    while not ended:
        got = signal.sigwaitinfo({*asked, signal.SIGCHLD})
        if got.si_signo == signal.SIGCHLD:
            ended, status = os.waitpid(pid, os.WNOHANG)
        elif got.si_code <= 0:  # a program sent it; what a terminal sends reaches both
            os.kill(pid, got.si_signo)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with open(crash, "rb") as told:
            told.seek(0)
            _say_death(-code, told.read().decode("utf-8", "replace"))
    elif code == _LIBRARYS_EXIT and os.lseek(crash, 0, os.SEEK_CUR) != _LEFT:
        code = -code
        say_error(
            "a library ended the process that did the work, for the reason that stands above;"
            " nothing half-made is kept"
        )
    os._exit(EXIT_TOOL if code < 0 else code)


def _say_death(number: int, told: str) -> None:
    """Say that a signal killed the process that did the work; ``told``: the calls in which it was,
    as :mod:`faulthandler` wrote them.
    """
    name = signal.Signals(number).name
    calls = re.findall(r"^  File .+", told.partition("Current thread")[2] or told, re.MULTILINE)
    if not calls:
        memory = " (most often: the host's memory was used up)" if name == "SIGKILL" else ""
        say_error(
            f"the process that did the work was killed by {name}{memory}; what was finished is"
            " kept, start the same command again to continue"
        )
        return
    print("Its last calls, the latest first:", *calls[:_CALLS_SHOWN], sep="\n", file=sys.stderr)
    package = re.search(r"site-packages/(\w+)", "\n".join(calls))
    inside = f"the package '{package[1]}'" if package else "a library"
    say_error(
        f"{inside} crashed ({name}) while it did its part of the work, which is a fault of its own:"
        " try another version of it, or another form of the model; nothing half-made is kept"
    )


def pairs_of(labels: Sequence[str], over: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The pairs that ``--over`` asks for: every label over each of ``over``, but of these only over
    those before it; without it the first over each other one. :class:`InputError` for a label that
    is not there.

    >>> pairs_of(["port", "int8", "eager"], ["eager", "port"])
    (('port', 'eager'), ('int8', 'eager'), ('int8', 'port'))
    """
    unknown = [base for base in over if base not in labels]
    if unknown:
        raise InputError(f"--over names '{unknown[0]}', the labels are {', '.join(labels)}")
    if not over:
        return tuple((labels[0], other) for other in labels[1:])
    return tuple(
        (label, base)
        for at, base in enumerate(over)
        for label in labels
        if label not in over[: at + 1]
    )
