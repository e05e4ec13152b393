"""A comparison: made again from the two sides' result files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.metrics.accuracy.score import Reading
from portproof.metrics.paired.compare import Comparison, compare
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import SUFFIX
from portproof.reports.evidence.findings import Finding, changed, differences, not_derived
from portproof.reports.evidence.rechecks.labels import labels_of
from portproof.reports.port.data import decode

#: Names of what was compared, as they were typed; everything else is a figure.
_NAMES = ("reference", "port", "labels")


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Compare the two sides again, figure by figure."""
    with labels_of(stage, run_dir) as (labels, why):
        if why:
            yield not_derived(stage.artefact, why)
        if labels is None:
            return
        try:
            derived = _again(stage, run_dir, labels)
            stated = decode(run_dir / stage.artefact)
        except (InputError, OSError) as error:
            yield changed(stage.artefact, f"it cannot be computed again: {error}")
            return
    figures = {
        key: value for key, value in msgspec.to_builtins(derived).items() if key not in _NAMES
    }
    yield from differences(
        stage.artefact,
        {k: v for k, v in stated.items() if k not in _NAMES},
        msgspec.json.decode(msgspec.json.encode(figures)),
    )


def _again(stage: Stage, run_dir: Path, labels: Path) -> Comparison:
    parameters = stage.proof.parameters
    sides: list[tuple[Path, Reading | None]] = []
    for at, role in enumerate(("reference", "port")):
        records = stage.proof.inputs.get(role)
        path = records[0].path.removesuffix(SUFFIX) if records else stage.command[2 + at]
        reading = parameters.get(f"{role} reading")
        sides.append((run_dir / path, msgspec.convert(reading, Reading) if reading else None))
    (reference, one), (port, other) = sides
    return compare(
        reference,
        port,
        labels,
        parameters["margin_pp"],
        reference_reading=one,
        port_reading=other,
        allow_missing=parameters["allow_missing"],
        simulated=stage.proof.simulated,
    )
