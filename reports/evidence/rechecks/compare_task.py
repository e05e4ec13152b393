"""A comparison by a task's metric: made again from what the samples of the two sides add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.metrics.paired.by_task import Margin, compare_by_task
from portproof.metrics.paired.task_figures import TaskComparison
from portproof.metrics.tasks import figure_of, load_task
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import SUFFIX
from portproof.reports.evidence.findings import Finding, changed, differences
from portproof.reports.evidence.rechecks.truth_here import ROUNDING, Judged, as_judged
from portproof.reports.port.data import decode

#: Names of what was compared, as they were typed; everything else is a figure.
_NAMES = ("reference", "port", "truth")


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Compare the two sides again, figure by figure."""
    judged = yield from as_judged(stage, run_dir)
    if judged is None:
        return
    try:
        derived = _again(stage, run_dir, judged)
        stated = decode(run_dir / stage.artefact)
    except (InputError, OSError) as error:
        yield changed(stage.artefact, f"it cannot be computed again: {error}")
        return
    figures = msgspec.json.decode(msgspec.json.encode(derived))
    yield from differences(
        stage.artefact,
        {k: v for k, v in stated.items() if k not in _NAMES},
        {k: v for k, v in figures.items() if k not in _NAMES},
        rounding=ROUNDING,
    )


def _again(stage: Stage, run_dir: Path, judged: Judged) -> TaskComparison:
    parameters, paths = stage.proof.parameters, []
    for at, role in enumerate(("reference", "port")):
        records = stage.proof.inputs.get(role)
        path = records[0].path.removesuffix(SUFFIX) if records else stage.command[2 + at]
        paths.append(run_dir / path)
    (reference, port), margin = paths, parameters["margin"]
    is_share = figure_of(load_task(parameters["task"]), parameters["metric"]).is_share
    return compare_by_task(
        reference,
        port,
        judged.truth,
        parameters["task"],
        metric=parameters["metric"],
        margin=Margin(pp=100 * margin) if is_share else Margin(amount=margin),
        decoding=judged.decoding(parameters["decoding"]),
        port_decoding=judged.decoding(parameters["port decoding"]),
        allow_missing=parameters["allow_missing"],
        simulated=stage.proof.simulated,
    )
