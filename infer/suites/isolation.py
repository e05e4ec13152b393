"""A function in a process of its own, so that what kills it, or what it leaves behind in memory,
touches nobody else.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from portproof.core import progress
from portproof.core.errors import (
    EXIT_BAD_INPUT,
    EXIT_TOOL,
    InputError,
    MissingPackageError,
    PortProofError,
    ToolError,
    sentence_for,
)
from portproof.core.shell import die_with_parent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error for the user, as it travels over the pipe."""

    exit_code: int
    sentence: str
    log_tail: str
    absent: bool


class AbsentError(InputError):
    """As :class:`MissingPackageError`, with a text that was made elsewhere."""


def in_own_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process; what it raises for the user is raised here.

    :class:`ToolError` when the process dies: says how. It dies with this one: a suite that is
    started again after a kill would work beside it, in the same folder.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    sides = (theirs, progress.settings(), function, arguments)
    process = context.Process(target=_serve, args=sides)
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        process.join()
        raise ToolError(_death(process.exitcode)) from None
    except BaseException:  # Ctrl-C or SIGTERM, which may have reached this process alone
        process.terminate()
        raise
    finally:
        ours.close()
        process.join()
    if isinstance(answer, _Failure):
        if answer.absent:
            raise AbsentError(answer.sentence)
        if answer.exit_code == EXIT_BAD_INPUT:
            raise InputError(answer.sentence)
        raise ToolError(answer.sentence, answer.log_tail)
    return answer  # type: ignore[no-any-return]


def is_absent(error: PortProofError) -> bool:
    """Whether nothing failed, but a package is not installed on this host."""
    return isinstance(error, MissingPackageError | AbsentError)


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        how = f"was killed by {signal.Signals(-code).name}"
        if -code == signal.SIGKILL:
            how += " (most often: the host's memory was used up)"
    else:
        how = f"ended with exit code {code}"
    return f"the process {how}"


def _failure(error: Exception) -> _Failure:
    """An error as it travels; of one of our own, its traceback is on stderr."""
    if isinstance(error, PortProofError):
        tail = getattr(error, "log_tail", "")
        return _Failure(error.exit_code, str(error), tail, is_absent(error))
    if isinstance(error, OSError):
        sentence, code = sentence_for(error)
        return _Failure(code, sentence, "", False)
    if isinstance(error, MemoryError):
        return _Failure(EXIT_TOOL, "out of memory: take a smaller batch", "", False)
    traceback.print_exception(error)
    why = (
        f"{type(error).__name__}: {' '.join(str(error).split())[:300]} (its traceback is on stderr)"
    )
    return _Failure(EXIT_TOOL, why, "", False)


def _serve(
    pipe: Connection[Any, Any],
    settings: tuple[bool, bool],
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    die_with_parent()
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != os.getppid():  # killed before the line above
        return
    progress.configure(*settings)
    try:
        answer: Any = function(*arguments)
    except KeyboardInterrupt:
        return
    except Exception as error:  # a model that fails is a row that says why
        answer = _failure(error)
    pipe.send(answer)
