"""trtexec's layer profile: the JSON of ``--exportProfile``.

The first element is ``{"count": N}``, the calls; then one a layer with ``timeMs`` of all calls.
Layer names are not escaped, so a line is read by its form, not as JSON.
"""

from __future__ import annotations

import re
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.infer.profiling.op_times import Operator, Profile, merged

_COUNT = re.compile(r'"count"\s*:\s*(\d+)')
_LAYER = re.compile(r'"name"\s*:\s*"(?P<name>.*?)"\s*,\s*"timeMs"\s*:\s*(?P<ms>[0-9.eE+-]+)')


def is_it(head: str) -> bool:
    """Whether a file begins as such a profile does."""
    return head.lstrip().startswith("[") and _COUNT.search(head[:200]) is not None


def read(path: Path) -> Profile:
    """The layers of all calls."""
    text = read_text(path, "profile")
    count = _COUNT.search(text)
    layers = list(_LAYER.finditer(text))
    if count is None or not layers:
        raise InputError(
            f"'{path}' holds no layer of trtexec's --exportProfile: let trtexec end, and profile"
            " without --skipInference"
        )
    calls = int(count[1])
    return Profile(
        label=path.stem,
        source="trtexec's layer profile, device clock",
        operators=merged(
            Operator(name=m["name"], type=m["name"], count=calls, seconds=float(m["ms"]) / 1e3)
            for m in layers
        ),
        calls=calls or None,
    )
