"""The rate of a run that a table shows."""

from __future__ import annotations

from dataclasses import replace

from portproof.logs.logged import DEVICE, Figure, Run


def headline(run: Run, boundary: str | None = None) -> Figure | None:
    """The rate that a tool reports, or its rate at ``boundary``: in images a second where it can be
    had.

    The device's own rate is also batch / mean compute time, where the tool prints that time and ran
    one stream.
    """
    rates = [
        f
        for f in run.figures
        if f.name == "throughput" and f.boundary and f.best_value and f.per != "card"
        # A prompt or a token a second is no image a second.
        if f.unit in ("images/s", "batches/s")
    ]
    rates = [f for f in rates if boundary is None or f.boundary == boundary]
    own = [f for f in rates if f.boundary == rates[0].boundary]
    if not own and boundary in (DEVICE, None):
        return _device_rate(run, boundary)
    return next((f for f in own if f.unit == "images/s"), own[0] if own else None)


def _device_rate(run: Run, boundary: str | None) -> Figure | None:
    """Batch / mean compute time, or calls a second where only a hint tells the batch. msame, which
    prints no rate, reports that time.
    """
    mean, batch = run.figure("compute_mean") if boundary else None, run.batch or 1
    if mean is None and run.family == "msame":
        mean = run.figure("latency_mean_without_first") or run.figure("latency_mean")
    if mean is None or not mean.value or run.facts.get("streams", 1) > 1:
        return None
    unit = "images/s" if run.batch else "batches/s"
    return replace(
        mean,
        name="throughput",
        value=batch / mean.value,
        unit=unit,
        derived=f"{batch} / {mean.value * 1000:g} ms",
    )
