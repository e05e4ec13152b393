"""What aclruntime's errors mean. It detects everything as ``RuntimeError`` with the text
``[code][text] ``; its reason is only on stdout.
"""

from __future__ import annotations

import re

from portproof.core.errors import InputError, PortProofError, ToolError

_FORM = re.compile(r"^\s*\[(-?\d+)\]\[(.*)\]\s*$", re.DOTALL)
_ABOVE = "the library's own lines on stdout, which begin with [ERROR], say more"

_Table = dict[int, tuple[type[PortProofError], str]]

_LOADING: _Table = {
    1: (
        InputError,
        "the file is damaged, or was converted for another chip or CANN version; convert it again",
    ),
    107001: (InputError, "there is no such device; 'npu-smi info' lists them"),
    100001: (
        ToolError,
        (
            "ACL is not initialised: its configuration (acl_json) is wrong, or it was ended earlier"
            " in this process"
        ),
    ),
}
_CHOOSING: _Table = {
    1: (InputError, "it is not one of those that it was converted with, or the model is static"),
    -1: (
        InputError,
        "it is not one of those that it was converted with, or an input's name is wrong",
    ),
}
_RUNNING: _Table = {
    -1: (
        ToolError,
        (
            "an input has another number of bytes than the model takes, or the execution failed on"
            f" the device; {_ABOVE}"
        ),
    ),
    1: (ToolError, f"an argument was refused; {_ABOVE}"),
    1004: (InputError, "there is no such device; 'npu-smi info' lists them"),
    3011: (
        InputError,
        "a dynamic-shape model needs the bytes of each output: give --option outsize=N,N",
    ),
    100001: (ToolError, "ACL was ended earlier in this process"),
    107002: (
        ToolError,
        "the thread has no context of ACL; use the session in the thread that loaded it",
    ),
    107001: (InputError, "there is no such device; 'npu-smi info' lists them"),
}


def explained(
    error: RuntimeError,
    what: str,
    *,
    loading: bool = False,
    choosing: bool = False,
    reason: str = "",
) -> PortProofError:
    """The error as a sentence: what failed, the library's code and text, what it means and what to
    do, and the reason that it printed.

    >>> str(explained(RuntimeError("[107001][Error code unknown] "), "loading", loading=True))
    "loading: [107001][Error code unknown]: there is no such device; 'npu-smi info' lists them"
    """
    printed = f" (aclruntime: {reason})" if reason else ""
    found = _FORM.match(str(error))
    if not found:
        return ToolError(
            f"{what}: aclruntime says '{' '.join(str(error).split())}'{printed or f'; {_ABOVE}'}"
        )
    code = int(found[1])
    table = _LOADING if loading else _CHOOSING if choosing else _RUNNING
    unknown: tuple[type[PortProofError], str] = (
        ToolError,
        "an error that is not known here" if printed else _ABOVE,
    )
    kind, meaning = table.get(code, unknown)
    return kind(f"{what}: [{code}][{found[2]}]: {meaning}{printed}")
