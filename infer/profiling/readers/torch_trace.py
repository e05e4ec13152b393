"""PyTorch's profile: a Chrome trace (``export_chrome_trace``). Times are microseconds.

An operator's own time is its event without those inside it on the same thread. Where a device ran
kernels these are what is counted, since the host only starts them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.infer.profiling.op_times import Operator, Profile, merged

#: The range that is put around each call, here and by PyTorch's own ``profiler.step``.
CALL, _STEP = "portproof call", "ProfilerStep#"
_KERNELS = {"kernel", "gpu_memcpy", "gpu_memset"}


def is_it(head: str) -> bool:
    """Whether a file begins as such a trace does."""
    return head.lstrip().startswith("{") and (
        '"traceEvents"' in head or '"schemaVersion"' in head or '"deviceProperties"' in head
    )


def read(path: Path) -> Profile:
    """The operators of all calls."""
    try:
        content = json.loads(read_text(path, "profile"))
        events = [e for e in content["traceEvents"] if e.get("ph") == "X"]
        kernels = [e for e in events if str(e.get("cat", "")).lower() in _KERNELS]
        operators = (
            [_operator(e["name"], float(e["dur"])) for e in kernels]
            if kernels
            else list(_own_times([e for e in events if e.get("cat") == "cpu_op"]))
        )
        calls = [
            e
            for e in events
            if e.get("cat") == "user_annotation"
            and (e["name"] == CALL or str(e["name"]).startswith(_STEP))
        ]
        wall = sum(float(e["dur"]) for e in calls) / 1e6
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"'{path}' is not a whole trace of PyTorch's profiler ({error}): write it with"
            " export_chrome_trace"
        ) from error
    if not operators:
        raise InputError(
            f"'{path}' is a trace without an operator: profile the activity CPU, or CUDA too"
        )
    return Profile(
        label=path.stem,
        source=f"PyTorch's profiler, {'kernels of the device' if kernels else 'host clock'}",
        operators=merged(operators),
        calls=len(calls) or None,
        wall_s=wall or None,
    )


def _own_times(events: Sequence[dict[str, Any]]) -> Iterable[Operator]:
    """Each event's time less that of the events directly inside it, thread by thread."""
    inside = [0.0] * len(events)
    order = sorted(
        range(len(events)),
        key=lambda i: (str(events[i]["tid"]), float(events[i]["ts"]), -float(events[i]["dur"])),
    )
    open_events: list[int] = []
    for index in order:
        event = events[index]
        while open_events and not _holds(events[open_events[-1]], event):
            open_events.pop()
        if open_events:
            inside[open_events[-1]] += float(event["dur"])
        open_events.append(index)
    for event, taken in zip(events, inside, strict=True):
        yield _operator(event["name"], max(0.0, float(event["dur"]) - taken))


def _holds(outer: dict[str, Any], inner: dict[str, Any]) -> bool:
    end = float(outer["ts"]) + float(outer["dur"])
    return bool(outer["tid"] == inner["tid"] and float(inner["ts"]) < end)


def _operator(name: str, microseconds: float) -> Operator:
    return Operator(name=name, type=name, count=1, seconds=microseconds / 1e6)
