"""Whether a measurement names every doubt about its clock that its own seconds raise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portproof.measurement import Performance
from portproof.reports.evidence.findings import Finding, changed


def unsaid(file: str, performance: Performance, derived: Iterable[str]) -> Iterator[Finding]:
    """``derived``: the doubts, worded as the measurement's ``reasons`` are, which may hold more,
    since counters raise some too.
    """
    for why in derived:
        if why not in performance.reasons:
            yield changed(file, f"the reasons do not say: {why}")
    if (performance.status == "unstable") is not bool(performance.reasons):
        yield changed(
            file,
            f"the status is '{performance.status}' with {len(performance.reasons)} reasons against"
            " the clock",
        )
