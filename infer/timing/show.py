"""A measurement file as a table for a terminal."""

from __future__ import annotations

from portproof.core.text import printable
from portproof.measurement import Measurement, Performance, Ratio
from portproof.rehearsal import MARK

_HEAD = (
    "label",
    "batch",
    "boundary",
    "images/s",
    "median ms",
    "p90 ms",
    "p99 ms",
    "first ms",
    "load s",
)


def table(performance: Performance) -> str:
    """Rates and latencies, ratios with their intervals, and what casts doubt on them. A percentile
    that too few calls can tell is a dash.
    """
    rows = [_HEAD, *(_row(m) for m in performance.measurements)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(w) if i in (0, 2) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if performance.simulated:
        lines.insert(0, f"{MARK}: a simulated device, nothing here was measured")
    lines += [_ratio(r) for r in performance.ratios]
    lines += [f"unstable: {printable(why)}" for why in performance.reasons]
    return "\n".join(lines)


def _row(m: Measurement) -> tuple[str, ...]:
    return (
        printable(m.label),
        str(m.batch),
        m.boundary,
        "-" if m.images_per_second is None else f"{m.images_per_second:.1f}",
        *(
            _ms(s)
            for s in (m.median_s, m.percentile_s(90), m.percentile_s(99), m.first_inference_s)
        ),
        "-" if m.load_s is None else f"{m.load_s:.2f}",
    )


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.3f}"


def _ratio(r: Ratio) -> str:
    interval = (
        "too few blocks for an interval"
        if r.ci95 is None
        else f"95 % interval {r.ci95[0]:.3f} to {r.ci95[1]:.3f}"
    )
    return (
        f"{printable(r.a)} / {printable(r.b)}, batch {r.batch}, {r.boundary}: {r.ratio:.3f} times"
        f" the rate ({interval})"
    )
