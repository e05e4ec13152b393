"""A measurement: its ratios and the signs of an unstable clock are derived again from the raw
seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from portproof.infer.timing.steady import reasons
from portproof.measurement import Performance, paired_ratio, read_performance
from portproof.proof.lineage import Stage
from portproof.reports.evidence.findings import Finding, changed, differences, not_derived
from portproof.reports.evidence.rechecks.clock import unsaid


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Derive again what follows from the seconds; the seconds themselves were measured."""
    performance = read_performance(run_dir / stage.artefact)
    yield from _ratios(stage.artefact, performance)
    yield from unsaid(
        stage.artefact, performance, (why for m in performance.measurements for why in reasons(m))
    )
    calls = sum(len(m.samples) for m in performance.measurements)
    yield not_derived(
        stage.artefact,
        f"the seconds of {calls} calls were measured; everything else in it was derived from them"
        " again",
    )


def _ratios(file: str, performance: Performance) -> Iterator[Finding]:
    """Each ratio again, from the blocks of its two sides."""
    sides = {(m.label, m.batch, m.boundary): m for m in performance.measurements}
    for at, ratio in enumerate(performance.ratios):
        a, b = (sides.get((label, ratio.batch, ratio.boundary)) for label in (ratio.a, ratio.b))
        if a is None or b is None:
            yield changed(file, f"ratios[{at}] is of measurements that are not there")
            continue
        stated, derived = msgspec.to_builtins(ratio), msgspec.to_builtins(paired_ratio(a, b))
        yield from differences(file, stated, derived, f"ratios[{at}]")
