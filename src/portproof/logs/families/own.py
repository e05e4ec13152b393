"""PortProof's own ``perf.json``.

The clock of :mod:`portproof.infer.bench` encloses one call of a batch at the boundary that the file
names. Rates are images a second over all counted calls; nothing in the file is a mean of means, so
every figure here is derived from the raw seconds.
"""

from __future__ import annotations

import re
import statistics
from typing import Any

from portproof.logs.logged import Figure, Run
from portproof.measurement import Measurement, Performance, performance_from

FAMILY = "portproof"
#: How a warning about the clock begins.
UNSTABLE = "the clock was unstable"


def from_json(data: Any, text: str, source: str) -> list[Run] | None:
    """The runs of a ``perf.json``, one a measurement; None for other JSON; :class:`InputError` if
    it is damaged or of another version.
    """
    if not isinstance(data, dict) or not str(data.get("schema", "")).startswith("portproof.perf/"):
        return None
    performance = performance_from(data, source)
    lines = _lines_of(text, '"blocks"')
    return [
        _run(m, performance, source, lines[i] if i < len(lines) else 1)
        for i, m in enumerate(performance.measurements)
    ]


def _run(measurement: Measurement, performance: Performance, source: str, line: int) -> Run:
    run = Run(
        source,
        FAMILY,
        line,
        tool_version=performance.versions.get("portproof"),
        status="ok",
        batch=measurement.batch,
        batch_source="measurement",
        simulated=measurement.simulated or performance.simulated,
        facts={
            name: getattr(measurement, name)
            for name in (
                "label",
                "model",
                "backend",
                "precision",
                "clients",
                "inputs",
                "device",
                "streams",
                "scope",
            )
        },
    )
    run.facts["measured_chips"] = measurement.chips
    run.facts["widened"] = measurement.is_widened
    run.facts["answers"] = _answers(measurement)
    if performance.status == "unstable":
        run.warnings += [f"{UNSTABLE}: {reason}" for reason in _reasons(measurement, performance)]
    if run.simulated:
        run.warnings.append("REHEARSAL: these times come from a simulated device")
    if measurement.answers is not None and measurement.is_wrong:
        run.status = "failed"
        run.warnings.append(
            f"its answers are wrong, so it has no rate: {measurement.answers.reason}"
        )
        return run
    samples = measurement.samples
    if not samples or min(samples) <= 0:
        run.status = "incomplete"
        run.warnings.append(
            "no call was timed" if not samples else "a call is recorded as taking no time"
        )
        return run
    run.figures = _figures(measurement, samples, line)
    return run


def _answers(measurement: Measurement) -> str:
    """What is known of its answers; files of older versions know nothing."""
    if measurement.answers is None:
        return "not known"
    return {None: "not checked", True: "checked", False: "wrong"}[measurement.answers.ok]


def _reasons(measurement: Measurement, performance: Performance) -> list[str]:
    """Why the clock was unstable: of this measurement, and of the run as a whole. A reason begins
    with the subject that it is about.
    """
    subjects = tuple(
        f"{m.label}, batch {m.batch}{end}" for m in performance.measurements for end in (":", ",")
    )
    own = (
        f"{measurement.label}, batch {measurement.batch}:",
        f"{measurement.label}, batch {measurement.batch}, {measurement.boundary}:",
    )
    return [r for r in performance.reasons if r.startswith(own) or not r.startswith(subjects)]


def _figures(measurement: Measurement, samples: list[float], line: int) -> list[Figure]:
    """Rate, latencies and counts of a measurement with at least one call."""
    ordered, calls = sorted(samples), len(samples)
    operands = (
        f"{measurement.clients} clients x batch {measurement.batch} x {calls} calls /"
        f" {sum(samples):.6g} s"
    )
    values = {
        "mean": statistics.fmean(ordered),
        "median": statistics.median(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        **{f"p{p}": measurement.percentile_s(p) for p in (90, 95, 99)},
    }

    def figure(name: str, value: float | None, unit: str, how: str) -> Figure:
        return Figure(name, value, unit, measurement.boundary, None, "device", line, derived=how)

    return [
        figure("throughput", measurement.images_per_second, "images/s", operands),
        *(
            figure(f"latency_{name}", value, "s", f"{name} of {calls} calls")
            for name, value in values.items()
        ),
        figure("samples", calls, "1", "counted calls"),
    ]


def _lines_of(text: str, key: str) -> list[int]:
    """1-based line of each occurrence of a key."""
    found, line, before = [], 1, 0
    for match in re.finditer(re.escape(key), text):
        line += text.count("\n", before, match.start())
        before = match.start()
        found.append(line)
    return found
