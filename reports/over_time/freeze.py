"""A baseline: the small files of a run directory, with a hash each, and how long its own steps
before and after the inference take.

It has the layout of a run directory, so whatever reads one reads a baseline too. Samples, results,
models and images stay behind: what every sample became is in the outcomes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

import portproof
from portproof.core.drafts import draft_folder
from portproof.core.errors import InputError
from portproof.core.files import flush_to_disk, sha256_of, write_bytes
from portproof.core.jsonfile import read_record
from portproof.proof.lineage import sidecars_in
from portproof.proof.lock import locked_artefact
from portproof.reports.over_time.repeated_times import StepTimes, time_steps
from portproof.reports.port.data import RunData, read_run
from portproof.rundir.layout import REFERENCE, Side

FILE, SCHEMA = "baseline.json", "portproof.baseline/1"


class Baseline(msgspec.Struct, kw_only=True):
    """What a baseline's own file says. ``files``: hash of each file, by its path. ``made``: when
    the run's last stage began, by its host's clock. ``steps``: as timed at the freezing.
    """

    schema: str = SCHEMA
    model: str
    made: str
    portproof: str
    files: dict[str, str]
    steps: list[StepTimes]


def freeze(run_dir: Path, out: Path) -> Baseline:
    """Write the baseline of a finished run directory into ``out``, a new folder.

    Raises :class:`InputError` for a run directory without a comparison, and for a folder that is
    there already or that another process is writing.
    """
    # Looked at under the lock: of two at once the second waits for nothing and harms nothing.
    with locked_artefact(out, "--out"):
        if out.exists():
            raise InputError(
                f"'{out}' is there already: a baseline is not overwritten, name another"
            )
        return _write(run_dir, out)


def _write(run_dir: Path, out: Path) -> Baseline:
    data = read_run(run_dir)
    if not (data.comparisons or data.task_comparisons):
        raise InputError(
            f"'{run_dir}' holds no comparison: finish 'portproof port' there, then freeze it"
        )
    with draft_folder(out) as draft:
        names = list(_small_files(data))
        for name in names:
            target = draft / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(run_dir / name, target)
        baseline = Baseline(
            model=data.model_name,
            made=data.stages[-1].proof.started,
            portproof=portproof.__version__,
            files={name: sha256_of(draft / name) for name in names},
            steps=time_steps(data),
        )
        write_bytes(draft / FILE, msgspec.json.format(msgspec.json.encode(baseline)) + b"\n")
        flush_to_disk()
        draft.rename(out)
    return baseline


def _small_files(data: RunData) -> Iterator[str]:
    """The settings, the sidecars, and the files of figures that are there."""
    files = data.files
    names = [files.settings_file, files.card_copy, files.report]
    names += [p.relative_to(data.root).as_posix() for p in sidecars_in(data.root)]
    for side in (Side(REFERENCE), *files.timed):
        for batch in files.accuracy_batches:
            names += [files.accuracy(side, batch), files.outcomes(side, batch)]
        names += [files.board(side)] if side.target else []
    names += [files.perf(side) for side in files.benched]
    names += [files.comparison(side) for side in files.compared]
    yield from sorted({name for name in names if (data.root / name).is_file()})


def read_baseline(folder: Path) -> tuple[RunData, Baseline]:
    """A baseline as a run directory, and its own file. :class:`InputError` if it is none, or if a
    file was changed since.
    """
    path = folder / FILE
    if not path.is_file():
        raise InputError(
            f"'{folder}' is no baseline (it holds no '{FILE}'): make one of a finished run with"
            " 'portproof baseline RUN_DIR --out FOLDER'"
        )
    baseline = read_record(path, Baseline, SCHEMA, "baseline", "freeze the run again")
    for name, sha256 in baseline.files.items():
        if not (folder / name).is_file() or sha256_of(folder / name) != sha256:
            raise InputError(
                f"'{folder / name}' is not what was frozen: take the baseline from where it was"
                " kept, or freeze the run again"
            )
    return read_run(folder), baseline


def versions_of_run(data: RunData) -> dict[str, str]:
    """Every version that a run depended on: of packages, and what its hosts said of themselves
    (system, processor, Python, CANN). Stages of several versions name them all.
    """
    found: dict[str, dict[str, None]] = {}
    sources = [s.proof.versions | s.proof.environment for s in data.stages]
    sources += [{"portproof": s.proof.portproof} for s in data.stages]
    for versions in sources + [p.versions for p in data.performances.values()]:
        for name, version in versions.items():
            found.setdefault(name, {})[version] = None
    return {name: " and ".join(sorted(versions)) for name, versions in found.items()}
