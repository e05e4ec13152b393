"""What a tool's own log or file of figures proves."""

from __future__ import annotations

from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.shell import Finished
from portproof.infer.runtimes.acl_lines import reason_in
from portproof.logs.logged import Run
from portproof.logs.read import only


def because(done: Finished) -> str:
    """How a tool ended, with the reason that it printed."""
    reason = reason_in(done.output.replace("\r", "\n").splitlines())
    return f"{done.how}{f' ({reason})' if reason else ''}"


def proven(done: Finished, path: Path, family: str, lack: str) -> Run:
    """The run in a file that a tool wrote; :class:`ToolError`, which begins with ``lack``, unless
    it is the only one there and whole.
    """
    try:
        run = only(path, family)
    except InputError as error:
        raise done.failure(f"{lack}, so it did not finish: {error}") from error
    if run.status != "ok":
        reasons = "; ".join(run.warnings) or f"the run in '{path.name}' is {run.status}"
        raise done.failure(f"{lack}, so it did not finish: {reasons}")
    return run


def times_of(run: Run, count: int, done: Finished) -> list[float]:
    """Seconds of the executions, of which ``count`` were asked for."""
    if len(run.times) != count:
        raise done.failure(
            f"the tool was asked for {count} executions and gives the times of {len(run.times)}"
        )
    return run.times
