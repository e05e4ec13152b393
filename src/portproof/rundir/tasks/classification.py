"""Classification: Top-N of each side, and the paired comparison of their outcomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from portproof.rundir.gates import Gate
from portproof.rundir.layout import REFERENCE, RunDir, Side
from portproof.rundir.step import VERDICTS, Step, words
from portproof.verdict import Verdict


def measure(run: RunDir, side: Side, batch: int) -> Iterator[Step]:
    """Top-N, and the table of outcomes."""
    result, labels = run.result(side, batch), run.settings.labels
    figures, outcomes = run.accuracy(side, batch), run.outcomes(side, batch)
    yield Step(
        f"topn {side.step_name(batch)}",
        "topn",
        words(result, labels, "--out", figures, "--outcomes", outcomes),
        reads=(result, labels),
        makes=(figures,),
    )


def compare(run: RunDir, side: Side) -> Step:
    """The outcomes of the side with the reference's."""
    labels, batch = run.settings.labels, run.accuracy_batch
    tables = run.outcomes(Side(REFERENCE), batch), run.outcomes(side, batch)
    out = run.comparison(side)
    return Step(
        f"compare {side.label}",
        "compare",
        words(*tables, labels, "--margin-pp", run.settings.margin_pp, "--out", out),
        reads=(*tables, labels),
        makes=(out,),
        accepted=VERDICTS,
        show=True,
    )


def gate(run: RunDir, side: Side) -> Gate:
    """Whether the port may have lost accuracy, from the comparison."""
    path = run.root / run.comparison(side)
    if not path.is_file():
        return Gate(side.label, "accuracy", None, "there is no comparison")
    compared: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    reason = (
        f"{compared['port_accuracy']:.2%} against {compared['reference_accuracy']:.2%}, difference"
        f" {compared['difference_pp']:+.2f} pp over {compared['samples']} samples; the loss is"
        f" under {compared['gate_bound_pp']:.2f} pp (95 %), {compared['margin_pp']:g} pp is allowed"
    )
    return Gate(side.label, "accuracy", Verdict(compared["verdict"]), reason)
