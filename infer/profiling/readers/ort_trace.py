"""ONNX Runtime's profile: a JSON array of trace events (``enable_profiling``).

An operator's kernel is an event of the category ``Node`` whose name ends in ``_kernel_time``;
``model_run`` of the category ``Session`` is a call. Times are microseconds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.infer.profiling.op_times import Operator, Profile, merged

_END = "_kernel_time"


def is_it(head: str) -> bool:
    """Whether a file begins as such a profile does."""
    return head.lstrip().startswith("[") and '"cat"' in head and '"Session"' in head


def read(path: Path) -> Profile:
    """All calls but the first, which pays for memory and kernels' choices, if there are several."""
    try:
        events: list[dict[str, Any]] = json.loads(read_text(path, "profile"))
        runs = [e for e in events if e.get("cat") == "Session" and e.get("name") == "model_run"]
        begin = sorted(e["ts"] for e in runs)[1] if len(runs) > 1 else 0
        counted = [e for e in runs if e["ts"] >= begin]
        kernels = [
            e
            for e in events
            if e.get("cat") == "Node" and e["name"].endswith(_END) and e["ts"] >= begin
        ]
        operators = [
            Operator(
                name=e["name"].removesuffix(_END),
                type=str(e["args"]["op_name"]),
                count=1,
                seconds=e["dur"] / 1e6,
            )
            for e in kernels
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is not a whole profile of ONNX Runtime ({error}): end its session, which"
            " writes the file, or profile again"
        ) from error
    if not operators:
        raise InputError(
            f"'{path}' is a profile of ONNX Runtime without a single operator: run the model at"
            " least once before the session ends"
        )
    return Profile(
        label=path.stem,
        source="ONNX Runtime's profiler, host clock",
        operators=merged(operators),
        calls=len(counted) or None,
        wall_s=sum(e["dur"] for e in counted) / 1e6 if counted else None,
    )
