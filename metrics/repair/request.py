"""The comparison of layers with what may follow it: a repair, a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.metrics.dumped.kinds import open_sides
from portproof.metrics.layerwise.compare import Comparison, precision_of
from portproof.metrics.layerwise.limits import Limits
from portproof.metrics.layerwise.report import LayerReport


@dataclass(frozen=True, slots=True)
class LayersRequest:
    """What ``metrics/layers.py`` is asked; the options as its help explains them."""

    a: str
    b: str
    info: str | None = None
    limit: int = 4
    tolerance: float | None = None
    card: str | None = None
    precision: str | None = None
    emulate: str | None = None
    repair: str | None = None
    bundle: str | None = None
    om_json: str | None = None


def compare_and_repair(request: LayersRequest) -> LayerReport:
    """Compare, then repair and pack where that is asked; :class:`InputError` for what cannot be."""
    if request.tolerance is not None and not request.tolerance > 0:
        raise InputError(f"--tolerance is {request.tolerance:g}, more than 0 was expected")
    a, b = open_sides(request.a, request.b, request.card, request.emulate, request.om_json)
    comparison = Comparison(a, b, request.info, request.limit, request.card)
    limits = Limits(request.tolerance, request.precision or precision_of(a, b))
    report = comparison.report(limits)
    if request.bundle:
        from portproof.metrics.repair.bundle import pack

        pack(comparison, report, Path(request.bundle))
        report = msgspec.structs.replace(report, bundle=request.bundle)
    if request.repair:
        from portproof.metrics.repair.mend import repair

        done = repair(comparison, report, Path(request.repair), request.info, request.card)
        report = msgspec.structs.replace(report, repair=done)
    return report
