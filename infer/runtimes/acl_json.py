"""The configuration file that ACL takes at its start (``acl.json``)."""

from __future__ import annotations

import json
from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file, read_text

#: What slows down every execution: its times are those of the measuring too.
_SLOWS = ("profiler", "dump")


def configuration(path: str) -> Path:
    """The file, after a check that it is a JSON object: CANN can go on without one that it cannot
    read. A warning where it turns the profiler or a dump on.
    """
    text = read_text(existing_file(path, "ACL configuration"), "ACL configuration")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
        raise InputError(
            f"the ACL configuration '{path}' is no JSON ({reason}); an object was expected, such as"
            " {}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"the ACL configuration '{path}' is no JSON object; correct it")
    for name in _SLOWS:
        if content.get(name):
            progress.warn(
                f"the ACL configuration '{path}' has '{name}': times taken with it measure that"
                " too, so they are no figures of the model"
            )
    return Path(path)
