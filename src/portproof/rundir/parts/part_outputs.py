"""The task of a part of several models: its outputs against the reference's, on the same samples.

What the parts make together is judged by the task; this names the part at fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.step import VERDICTS, Step, words


def measure(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    """Nothing: a part has no labels."""
    return iter(())


def compare(run: RunDir, side: Side) -> Step:
    """The outputs of the side with the reference's, within what the reference loses when it is
    rounded to the side's precision.
    """
    batch, out = run.accuracy_batch, run.comparison(side)
    reference, port = run.result(Side(REFERENCE), batch), run.result(side, batch)
    model = run.onnx
    assert side.target is not None  # the reference is not compared with itself
    precision = side.target.precision
    return Step(
        f"compare {side.label}",
        "compare",
        words(
            *(reference, port, "--outputs", "--model-file", model, "--info", run.info),
            *("--precision", precision, "--out", out),
        ),
        reads=(reference, port, model, run.info),
        makes=(out,),
        accepted=VERDICTS,
    )


def verdict_text(run: RunDir, side: Side) -> str:
    """The verdict on a part's outputs, and of an output that is not PASS why; empty if there is
    none.
    """
    path = run.root / run.comparison(side)
    if not path.is_file():
        return ""
    compared: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    bad = next((o for o in compared["outputs"] if o["verdict"] != "PASS"), None)
    why = f" (output {bad['name']}: {bad['reason']})" if bad else ""
    return f"{compared['verdict']}{why}"
