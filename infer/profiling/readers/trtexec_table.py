"""trtexec's layer table (``--dumpProfile``), as it stands in a log."""

from __future__ import annotations

import re
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.infer.profiling.op_times import Operator, Profile, merged

_TITLE = re.compile(r"=== Profile \((\d+) iterations")
#: Columns: total, mean, since 8.4 median, share, and the layer's name; before 8.4 that is first.
_LAST = re.compile(
    r"\[I\]\s+(?P<ms>\d[\d.]*)\s+\d[\d.]*\s+(?:\d[\d.]*\s+)?\d[\d.]*\s+(?P<name>\S.*?)\s*$"
)
_FIRST = re.compile(r"\[I\]\s+(?P<name>\S.*?)\s+(?P<ms>\d[\d.]*)\s+\d[\d.]*\s+\d[\d.]*\s*$")


def is_it(head: str) -> bool:
    """Whether a file is a log of trtexec."""
    return "&&&& RUNNING" in head or "=== Model Options ===" in head


def read(path: Path) -> Profile:
    """The layers of the last table in the log."""
    lines = read_text(path, "log").splitlines()
    titles = [i for i, line in enumerate(lines) if _TITLE.search(line)]
    if not titles:
        raise InputError(
            f"'{path}' is a log of trtexec without a layer profile: run trtexec with --dumpProfile,"
            " or give the file of --exportProfile"
        )
    title = _TITLE.search(lines[titles[-1]])
    assert title is not None
    form = _FIRST if re.search(r"Layer\s+Time", lines[titles[-1] + 1]) else _LAST
    layers = []
    for line in lines[titles[-1] + 2 :]:
        found = form.search(line)
        if found is None or found["name"].strip() == "Total":
            break
        layers.append(found)
    calls = int(title[1])
    if not layers:
        raise InputError(f"'{path}': the layer profile has no layer; is the log cut off?")
    return Profile(
        label=path.stem,
        source="trtexec's layer profile, device clock",
        operators=merged(
            Operator(name=m["name"], type=m["name"], count=calls, seconds=float(m["ms"]) / 1e3)
            for m in layers
        ),
        calls=calls or None,
    )
