"""The figures of a task: worked out again from the result files and the truth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import About, Contributions, read_outcomes
from portproof.metrics.evaluation.evaluate import evaluation_of
from portproof.metrics.evaluation.origin import Ground
from portproof.metrics.tasks import figure_of
from portproof.proof.lineage import Stage
from portproof.reports.evidence.findings import Finding, changed, differences
from portproof.reports.evidence.rechecks.topn import result_folder
from portproof.reports.evidence.rechecks.truth_here import ROUNDING, Judged, as_judged
from portproof.reports.port.data import decode

#: Names of what was read, as they were typed; everything else is a figure.
_NAMES = ("result", "truth")
_OUTCOMES = ".npz"


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Evaluate again, and compare the figures, the outcomes and the sidecar."""
    judged = yield from as_judged(stage, run_dir)
    if judged is None:
        return
    try:
        figures, derived, about = _again(stage, run_dir, judged)
        for path in stage.proof.parameters["written"]:
            if path.endswith(_OUTCOMES):
                yield from _outcomes(run_dir, path, derived, about)
            else:
                yield from differences(
                    path, _figures(decode(run_dir / path)), figures, rounding=ROUNDING
                )
    except (InputError, OSError) as error:
        yield changed(stage.artefact, f"it cannot be computed again: {error}")
        return
    stated = stage.proof.facts.get("evaluation", {})
    yield from differences(stage.sidecar, _figures(stated), figures, "facts.evaluation", ROUNDING)


def _again(
    stage: Stage, run_dir: Path, judged: Judged
) -> tuple[dict[str, object], Contributions, About]:
    parameters = stage.proof.parameters
    ground = Ground(judged.task, judged.truth, parameters["allow_missing"])
    found, derived, about = evaluation_of(
        run_dir / result_folder(stage),
        ground,
        judged.decoding(parameters),
        figure_of(ground.module, parameters["metric"]),
        stage.proof.simulated,
    )
    return _figures(msgspec.json.decode(msgspec.json.encode(found))), derived, about


def _figures(stated: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in stated.items() if key not in _NAMES}


def _outcomes(run_dir: Path, path: str, derived: Contributions, about: About) -> Iterator[Finding]:
    stated, said = read_outcomes(run_dir / path)
    if said != about or stated.ids != derived.ids:
        yield changed(path, "what it says of its samples is not what the result files give")
    elif odd := _first_other(stated, derived):
        yield changed(path, f"'{odd}' is not what the result files give")


def _first_other(stated: Contributions, derived: Contributions) -> str | None:
    """The first column that differs."""
    names = [*derived.values, *(name for name in stated.values if name not in derived.values)]
    return next((name for name in names if not _same_column(name, stated, derived)), None)


def _same_column(name: str, stated: Contributions, derived: Contributions) -> bool:
    one, other = stated.values.get(name), derived.values.get(name)
    if one is None or other is None or (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    if not np.array_equal(stated.lengths[name], derived.lengths[name]):
        return False
    if one.dtype.kind != "f":
        return np.array_equal(one, other)
    return np.allclose(one, other, ROUNDING, ROUNDING, equal_nan=True)
