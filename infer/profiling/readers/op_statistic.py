"""msprof's ``op_statistic_*.csv``: a row a type of operator, in microseconds of all calls. How many
calls these were is not in it.
"""

from __future__ import annotations

from pathlib import Path

from portproof.core.errors import InputError
from portproof.infer.profiling.columns import Table
from portproof.infer.profiling.op_times import Operator, Profile, merged

_TYPE, _COUNT, _TIME = "op type", "count", "total time(us)"


def is_it(head: str) -> bool:
    """Whether a file begins with its header."""
    header = head.partition("\n")[0].lower()
    return _TYPE in header and _TIME in header and _COUNT in header


def read(path: Path) -> Profile:
    """The types of operators."""
    table = Table(path, (_TYPE, _COUNT, _TIME))
    operators = []
    for row in table.rows:
        time, count = table.number(row, _TIME), table.number(row, _COUNT)
        if time is not None and count is not None:
            kind = row[_TYPE]
            operators.append(Operator(name=kind, type=kind, count=int(count), seconds=time / 1e6))
    if not operators:
        raise InputError(f"'{path}' has no operator with a time: was the model run while profiled?")
    return Profile(
        label=path.stem,
        source="msprof's op_statistic, device clock",
        operators=merged(operators),
    )
