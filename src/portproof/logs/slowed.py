"""Whether a tool worked under a profiler or wrote dumps: its times then measure that too.

Sources: ais_bench, msame (Ascend/tools) and msprof, whose command lines and lines say so.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence

from portproof.logs.lines import TextBlock
from portproof.logs.logged import Run

#: What stands in every text that has a sign; looked for first, since most logs have none.
_MARKS = ("msprof", "--profiler", "--dump", "profiler mode", "delete acl.json")
_YES = r"[= ]+[\"']?(?:1|yes|true|t|y)\b"
_SIGN = re.compile(
    r"(?P<profiler>find no msprof continue use acl\.json mode|msprof cmd:|\bmsprof\b.*--application"
    rf"|profiler mode with input change warmup_count|\s--profiler{_YES})"
    rf"|(?P<dump>\s--dump{_YES})"
    r"|(?P<either>delete acl\.json success)",
    re.IGNORECASE,
)
#: A command line of one of the tools: what was on before is not on any more.
_COMMAND = re.compile(r"(?:ais_bench|ais_infer|msame|benchmark\.\w+)\b.*\s--?(?:model|om_path)\b")

#: Line, and what was on from there; ``either`` ends a run, so that it is of the run before.
Sign = tuple[int, str]


def signs_in(block: TextBlock) -> Iterator[Sign]:
    """The signs in a block of a log, and the commands without one (empty), in order."""
    if not any(mark in block.text for mark in _MARKS):
        return
    for number, line in enumerate(block.text.split("\n"), start=block.first):
        if sign := _SIGN.search(line):
            yield number, str(sign.lastgroup)
        elif _COMMAND.search(line):
            yield number, ""


def sign_in_words(words: Sequence[str]) -> str:
    """What a command line turns on; an empty string for nothing."""
    sign = _SIGN.search(" ".join(["", *words]))
    return str(sign.lastgroup) if sign else ""


def doubt(runs: Sequence[Run], signs: Sequence[Sign]) -> None:
    """Note what was on when each run was taken: its figures stay, and it is not ``ok``."""
    for number, run in enumerate(runs):
        before = bisect.bisect_right(signs, (run.line, "~")) - 1
        what = signs[before][1] if before >= 0 else ""
        end = runs[number + 1].line if number + 1 < len(runs) else None
        closing = [w for at, w in signs if at > run.line and (end is None or at < end)]
        if "either" in closing or what not in ("", "either"):
            note(run, "either" if "either" in closing and not what else what)


def note(run: Run, what: str) -> None:
    """Say that a profiler or a dump was on while a run was taken."""
    how = {"profiler": "under a profiler", "dump": "while it wrote dumps"}
    where = how.get(what, "under a profiler or while it wrote dumps")
    run.warnings.append(f"it ran {where}: its times measure that too, and not the model alone")
    if run.status == "ok":
        run.status = "incomplete"
