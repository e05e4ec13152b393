"""What a report says of the devices: what a model file was made with, in which mode and beside what
it was timed, and what the device's counters showed at that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from portproof.measurement import Performance, Ratio
from portproof.proof.lineage import Stage
from portproof.reports.port.data import RunData
from portproof.rundir.layout import REFERENCE

#: Versions of a measurement that are no package of the host's environment, under the name that
#: people use.
_TOOLS = {"tensorrt": "TensorRT"}
_MHZ, _MIB = 1e6, 1 << 20


def model_stages(data: RunData) -> list[Stage]:
    """The stages that made a device's model files, in their order."""
    return [s for s in data.stages if s.proof.stage in ("quantize", "onnx2om", "onnx2trt")]


def made_with(stage: Stage) -> str:
    """What decided a model file: versions, chip, and the precision that it computes in."""
    facts, parameters = stage.proof.facts, stage.proof.parameters
    tensorrt, capability = parameters.get("tensorrt"), facts.get("compute_capability")
    cann = stage.proof.environment.get("cann") if stage.proof.stage == "onnx2om" else None
    said = [
        f"TensorRT {tensorrt}" if tensorrt else None,
        f"CANN {cann}" if cann else None,
        parameters.get("soc_version"),
        parameters.get("gpu"),
        f"compute capability {capability}" if capability else None,
        facts.get("computes_in") or parameters.get("precision"),
        f"opset {facts['opset']}" if "opset" in facts else None,
    ]
    return ", ".join(str(word) for word in said if word)


def tools_of(data: RunData) -> list[tuple[str, str]]:
    """Name and version of the vendors' software that timed something."""
    found = {
        name: p.versions[key]
        for p in data.performances.values()
        for key, name in _TOOLS.items()
        if key in p.versions
    }
    return [*([("CANN", data.cann)] if data.cann else []), *found.items()]


def devices_of(data: RunData) -> list[str]:
    """The devices that were timed, as their counters name them, with the driver."""
    found: dict[str, None] = {}
    for facts in (
        m.counters.get("device") for p in data.performances.values() for m in p.measurements
    ):
        if isinstance(facts, dict) and facts.get("name"):
            found[
                (
                    f"{facts['name']}, driver {facts['driver']}"
                    if facts.get("driver")
                    else str(facts["name"])
                )
            ] = None
    return list(found)


def timed_by_trtexec(performance: Performance) -> bool:
    """Whether trtexec timed it, whose queries overlap."""
    return any(m.backend == "trtexec" for m in performance.measurements)


def ratio_rows(performance: Performance) -> list[tuple[str, str, list[Ratio]]]:
    """Each pair of labels that has ratios, and these by batch."""
    pairs = dict.fromkeys((r.a, r.b) for r in performance.ratios)
    return [(*pair, [r for r in performance.ratios if (r.a, r.b) == pair]) for pair in pairs]


def ported(performance: Performance) -> list[str]:
    """The labels that were timed, apart from the reference."""
    labels = dict.fromkeys(m.label for m in performance.measurements)
    return [label for label in labels if label != REFERENCE]


def widened(performance: Performance) -> list[str]:
    """The labels whose float16 file was computed in float32."""
    return list(dict.fromkeys(m.label for m in performance.measurements if m.is_widened))


def modes(performance: Performance) -> list[tuple[str, str]]:
    """Boundary and settings of the timing, where the runtime has some that matter."""
    found = {
        m.boundary: ", ".join(f"{name} {value}" for name, value in m.options.items())
        for m in performance.measurements
        if m.options
    }
    return list(found.items())


def counter_rows(performance: Performance) -> Iterator[dict[str, Any]]:
    """The device's counters by label and batch, in report units; None if not reported."""
    seen = set()
    for m in performance.measurements:
        c = m.counters
        if (m.label, m.batch) in seen or not c.get("device"):
            continue
        seen.add((m.label, m.batch))
        yield {
            "label": m.label,
            "batch": m.batch,
            "utilisation": c.get("device_utilisation"),
            "values": [
                _scaled(c.get("device_memory_before_bytes"), _MIB),
                _scaled(c.get("device_memory_peak_bytes"), _MIB),
                c.get("power_w"),
                c.get("energy_per_image_j"),
                _scaled(c.get("clock_lowest_hz"), _MHZ),
                _scaled(c.get("clock_highest_hz"), _MHZ),
                c.get("temperature_highest_c"),
            ],
            "limits": ", ".join(c.get("limits") or ()),
        }


def _scaled(value: float | None, unit: float) -> float | None:
    return None if value is None else value / unit
