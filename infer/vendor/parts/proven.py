"""What a tool's own log or file of figures proves."""

from __future__ import annotations

import re
from pathlib import Path

from portproof.core.errors import InputError, PortProofError
from portproof.core.shell import Finished
from portproof.infer.runtimes.acl_lines import reason_in
from portproof.logs.logged import Run
from portproof.logs.read import only


def because(done: Finished) -> str:
    """How a tool ended, with the reason that it printed."""
    reason = reason_in(done.output.replace("\r", "\n").splitlines())
    return f"{done.how}{f' ({reason})' if reason else ''}"


#: What a tool says when its input is wrong, in the same words as aclruntime, and what to do.
_OF_THE_INPUT = {
    r"load model from file failed": (
        "the file is damaged, or was converted for another chip or CANN version; convert it again"
    ),
    r"open device \d+ failed": "there is no such device; 'npu-smi info' lists them",
    r"acl init failed": "its configuration for ACL is wrong; give a JSON object",
    r"parameter is not correct|parameter set error|not specified for model conversion"
    r"|please add dymDims": "it is not one of those that the model was converted with",
    r"\[ERROR\].*-batch_?size": "it is not the batch that the model was converted for",
}


def failed(done: Finished, tool: str) -> PortProofError:
    """The error of a tool that did not end well: bad input where that is the reason that it gives,
    as the backend ``om`` has it; else a failed tool.
    """
    for pattern, meaning in _OF_THE_INPUT.items():
        if done.exit_code >= 0 and re.search(pattern, done.output):
            return InputError(f"{tool} {because(done)}: {meaning}; its log is {done.log}")
    return done.failure(f"{tool} {because(done)}")


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
