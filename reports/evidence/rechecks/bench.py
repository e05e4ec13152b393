"""A measurement: its ratios and the signs of an unstable clock are derived again from the raw
seconds, and the seconds that trtexec measured from its own files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.infer.timing.speed_ratio import REVISION, paired_ratio
from portproof.infer.timing.steady import doubts_of
from portproof.infer.timing.trtexec_blocks import BOUNDARIES, block_in, times_file
from portproof.measurement import (
    Measurement,
    Performance,
    read_performance,
    wrong_answers,
)
from portproof.proof.lineage import Stage
from portproof.reports.evidence.findings import Finding, changed, differences, not_derived
from portproof.reports.evidence.rechecks.clock import unsaid


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Derive again what follows from the seconds; the seconds themselves were measured."""
    performance = read_performance(run_dir / stage.artefact)
    if performance.ratios and stage.proof.revision < REVISION:
        earlier = "has ratios that an earlier version formed in another way: bench again"
        yield changed(stage.artefact, earlier)
    else:
        yield from _ratios(stage.artefact, performance)
    wrong = wrong_answers(performance.measurements)
    yield from differences(stage.artefact, performance.wrong, wrong, "wrong")
    if "wrong" in stage.proof.facts:
        yield from differences(stage.sidecar, stage.proof.facts["wrong"], wrong, "facts.wrong")
    for at, measurement in enumerate(performance.measurements):
        if measurement.backend == "trtexec":
            yield from _blocks(stage, run_dir, performance, at, measurement)
    doubts = (why for m in performance.measurements for why in doubts_of(m))
    yield from unsaid(stage.artefact, performance, doubts)
    calls = sum(len(m.samples) for m in performance.measurements)
    yield not_derived(
        stage.artefact,
        f"the seconds of {calls} calls, the counters, and whether the answers are right, were"
        " measured; everything else in it was derived from them again",
    )


def _ratios(file: str, performance: Performance) -> Iterator[Finding]:
    """Each ratio again, from the blocks of its two sides."""
    sides = {(m.label, m.batch, m.boundary): m for m in performance.measurements}
    for at, ratio in enumerate(performance.ratios):
        a, b = (sides.get((label, ratio.batch, ratio.boundary)) for label in (ratio.a, ratio.b))
        if a is None or b is None or a.is_wrong or b.is_wrong:
            missing = "of measurements that are not there, or whose answers are wrong"
            yield changed(file, f"ratios[{at}] is {missing}")
            continue
        if not (a.starts and b.starts):
            old = "was measured in one start of the processes: bench again for its interval"
            yield not_derived(file, f"ratios[{at}] {old}")
            continue
        stated, derived = msgspec.to_builtins(ratio), msgspec.to_builtins(paired_ratio(a, b))
        yield from differences(file, stated, derived, f"ratios[{at}]")


def _blocks(
    stage: Stage, run_dir: Path, performance: Performance, at: int, measurement: Measurement
) -> Iterator[Finding]:
    """The blocks of one measurement by trtexec, each from the file of its run."""
    mode = {boundary: mode for mode, boundary in BOUNDARIES}[measurement.boundary]
    major, minor, patch = map(int, performance.versions["tensorrt"].split("."))
    folder, parameters = (run_dir / stage.artefact).parent, stage.proof.parameters
    runs = parameters["plan"]["blocks"] if "plan" in parameters else parameters["repeats"]
    if len(measurement.blocks) != runs:
        yield changed(
            stage.artefact,
            f"measurements[{at}] has {len(measurement.blocks)} blocks of {runs} runs",
        )
    for number, block in enumerate(measurement.blocks, start=1):
        path = times_file(folder, measurement.batch, mode, number)
        shown = str(path.relative_to(run_dir))
        if not path.is_file():
            yield changed(stage.artefact, f"'{shown}', the times of one of its blocks, is missing")
            continue
        try:
            derived = block_in(path, (major, minor, patch), measurement.boundary)
        except InputError as error:
            yield changed(shown, str(error))
            continue
        place = f"measurements[{at}].blocks[{number - 1}]"
        yield from differences(stage.artefact, block, derived, place)
