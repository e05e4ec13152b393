"""A measurement by trtexec: its blocks are derived again from the times of every query that trtexec
wrote, and its doubts about their spread.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from portproof.core.errors import ToolError
from portproof.infer.timing.by_trtexec import BOUNDARIES, block_in, spread, times_file
from portproof.measurement import Measurement, Performance, read_performance
from portproof.proof.lineage import Stage
from portproof.reports.evidence.findings import Finding, changed, differences, not_derived
from portproof.reports.evidence.rechecks.clock import unsaid


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Derive again what follows from trtexec's times; the times themselves, and the counters, were
    measured.
    """
    performance = read_performance(run_dir / stage.artefact)
    for at, measurement in enumerate(performance.measurements):
        yield from _blocks(stage, run_dir, performance, at, measurement)
    doubts = (
        f"{m.label}, batch {m.batch}: {why}" for m in performance.measurements for why in spread(m)
    )
    yield from unsaid(stage.artefact, performance, doubts)
    yield not_derived(
        stage.artefact,
        "trtexec's times and the device's counters were measured; everything else in it was derived"
        " from them again",
    )


def _blocks(
    stage: Stage, run_dir: Path, performance: Performance, at: int, measurement: Measurement
) -> Iterator[Finding]:
    """The blocks of one measurement, each from the file of its run."""
    mode = {boundary: mode for mode, boundary in BOUNDARIES}[measurement.boundary]
    version = tuple(map(int, performance.versions["tensorrt"].split(".")))
    folder = (run_dir / stage.artefact).parent
    if len(measurement.blocks) != stage.proof.parameters["repeats"]:
        yield changed(
            stage.artefact,
            f"measurements[{at}] has {len(measurement.blocks)} blocks of"
            f" {stage.proof.parameters['repeats']} runs",
        )
    for number, block in enumerate(measurement.blocks, start=1):
        path = times_file(folder, measurement.batch, mode, number)
        if not path.is_file():
            yield changed(
                stage.artefact,
                f"'{path.relative_to(run_dir)}', the times of one of its blocks, is missing",
            )
            continue
        try:
            derived = block_in(
                path, (version[0], version[1], version[2]), mode, measurement.boundary
            )
        except ToolError as error:
            yield changed(str(path.relative_to(run_dir)), str(error))
            continue
        yield from differences(
            stage.artefact, block, derived, f"measurements[{at}].blocks[{number - 1}]"
        )
