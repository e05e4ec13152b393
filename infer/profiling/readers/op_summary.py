"""msprof's ``op_summary_*.csv``: a row a task of the chip, in microseconds.

Columns come and go with the version of CANN, so they are found by name: ``Op Name``, ``OP Type``
and ``Task Duration(us)``. What is not known there is ``N/A``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from portproof.core.errors import InputError
from portproof.infer.profiling.columns import Table
from portproof.infer.profiling.op_times import Operator, Profile, merged

_NAME, _TYPE, _TIME = "op name", "op type", "task duration(us)"


def is_it(head: str) -> bool:
    """Whether a file begins with its header."""
    header = head.partition("\n")[0].lower()
    return _NAME in header and _TYPE in header and "task duration" in header


def read(path: Path) -> Profile:
    """The operators of all calls. How many these are is what most operators' names occur."""
    table = Table(path, (_NAME, _TYPE, _TIME))
    operators = []
    for row in table.rows:
        time = table.number(row, _TIME)
        if time is not None:
            name = row[_NAME]
            kind = row[_TYPE] if row[_TYPE] not in ("", "N/A") else name
            operators.append(Operator(name=name, type=kind, count=1, seconds=time / 1e6))
    if not operators:
        raise InputError(f"'{path}' has no task with a duration: was the model run while profiled?")
    counts = Counter(Counter(o.name for o in operators).values())
    return Profile(
        label=path.stem,
        source="msprof's op_summary, device clock",
        operators=merged(operators),
        calls=counts.most_common(1)[0][0],
    )
