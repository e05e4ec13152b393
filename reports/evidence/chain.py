"""Follow the hashes of a run directory: from every artefact back to the weights and the images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.proof.freshness import MISSING, difference
from portproof.proof.lineage import Stage, makers, readable_stages
from portproof.proof.sidecar import SUFFIX, FileRecord
from portproof.reports.evidence.findings import Finding, changed, not_derived

#: More absent files than these in one folder become one finding.
_MANY = 10
_NOT_PACKED = "it was not packed; its hash alone is here"
#: Threads that hash: more do not help, since a disk feeds them.
_HASHERS = 4


@dataclass(frozen=True)
class Walk:
    """The stages that could be read, how many files were hashed, and what was found."""

    stages: list[Stage]
    hashed: int
    findings: list[Finding]


def walk(run_dir: Path, left_out: Collection[str] = ()) -> Walk:
    """Hash every file of the sidecars, and check what each stage read of earlier ones. That files
    of ``left_out`` are missing is no change: a parcel does not hold them.
    """
    stages, damaged = readable_stages(run_dir)
    findings = [changed(artefact + SUFFIX, why) for artefact, why in damaged.items()]
    replaced = _replaced_weights(stages)
    records = {
        record.path: record
        for stage in stages
        for record in _all_records(stage)
        if record not in replaced
    }
    outside = {path for path in records if Path(path).is_absolute()}
    for stage in stages:
        findings += _escaping(stage)
    findings += (
        not_derived(r.path, "it is not what was trained here: the port began with it as it is")
        for r in replaced
    )
    with (
        ThreadPoolExecutor(_HASHERS) as pool,
        progress.meter("verify", len(records), "files") as meter,
    ):
        for path, how in pool.map(
            lambda path: (path, difference(records[path], run_dir / path, paranoid=True)), records
        ):
            meter.advance()
            if how == MISSING and path in outside:
                findings.append(
                    not_derived(path, "it is outside the run directory and not on this host")
                )
            elif how == MISSING and path in left_out:
                findings.append(not_derived(path, _NOT_PACKED))
            elif how:
                findings.append(changed(path, f"it {how}"))
    findings += _broken_links(stages, replaced)
    findings += _added(stages, run_dir)
    return Walk(stages, len(records), _grouped(findings))


def _all_records(stage: Stage) -> Iterator[FileRecord]:
    yield from (record for _, record in stage.records)
    yield from stage.proof.outputs


def _escaping(stage: Stage) -> Iterator[Finding]:
    """Outputs are inside the run directory, and no path climbs out of it: a sidecar that says
    otherwise was not written by a stage.
    """
    for record in stage.proof.outputs:
        if Path(record.path).is_absolute() or ".." in Path(record.path).parts:
            yield changed(
                stage.sidecar, f"it names an output outside the run directory: '{record.path}'"
            )


def _replaced_weights(stages: list[Stage]) -> list[FileRecord]:
    """Records of weights that a stage wrote and the export did not read: somebody put others in
    their place and ported these.
    """
    read = {
        r.path: r.sha256
        for stage in stages
        if stage.proof.stage == "export"
        for role, r in stage.records
        if role == "weights"
    }
    return [
        r for stage in stages for r in stage.proof.outputs if read.get(r.path, r.sha256) != r.sha256
    ]


def _broken_links(stages: list[Stage], replaced: list[FileRecord]) -> Iterator[Finding]:
    """Inputs whose recorded hash is not that of the stage which wrote the file."""
    wrote = {
        record.path: (stage, record)
        for stage in stages
        for record in stage.proof.outputs
        if record not in replaced
    }
    for stage in stages:
        for role, record in stage.records:
            maker, made = wrote.get(record.path, (None, None))
            if maker is not None and made is not None and made.sha256 != record.sha256:
                yield changed(
                    stage.artefact,
                    f"its {role} '{record.path}' is not what {maker.proof.stage} wrote: it was made"
                    " from another file",
                )


def _added(stages: list[Stage], run_dir: Path) -> Iterator[Finding]:
    """Files in an artefact folder that its sidecar does not name: an added sample."""
    for stage in stages:
        folder = run_dir / stage.artefact
        if folder.is_dir():
            known = {record.path for record in stage.proof.outputs}
            files = (
                p.relative_to(run_dir).as_posix()
                for p in sorted(folder.rglob("*"))
                if not p.is_dir()
            )
            yield from (
                changed(name, f"it was added: '{stage.sidecar}' does not name it")
                for name in files
                if name not in known
            )
        yield from _added_images(stage, run_dir)


def _added_images(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Images beside those that were preprocessed: they are in no figure."""
    from portproof.preprocess.dataset.images import find_images

    records = stage.proof.inputs.get("images")
    if stage.proof.stage != "preprocess" or not records or len(stage.command) < 3:
        return
    known = {os.path.normpath(run_dir / record.path) for record in records}
    folder = _common_folder(known)
    if not folder.is_dir():
        return
    try:
        present = {os.path.normpath(p.absolute()) for p in find_images(folder)}
    except InputError:
        return  # that images are missing is found file by file
    for path in sorted(present - known):
        yield changed(
            os.path.relpath(path, run_dir) if path.startswith(f"{run_dir}{os.sep}") else path,
            "it was added: no sample was made of it",
        )


def _common_folder(paths: Iterable[str]) -> Path:
    folders = {os.path.dirname(path) for path in paths}
    return Path(folders.pop() if len(folders) == 1 else os.path.commonpath(folders))


def _grouped(findings: list[Finding]) -> list[Finding]:
    """Findings of files that are elsewhere, one a folder: images come in thousands."""
    absent = {
        f: _NOT_PACKED if f.what == _NOT_PACKED else "outside the run directory, not on this host"
        for f in findings
        if f.kind == "not derived" and (f.what == _NOT_PACKED or Path(f.file).is_absolute())
    }
    counts = Counter((str(Path(f.file).parent), what) for f, what in absent.items())
    many = {folder for (folder, _), count in counts.items() if count > _MANY}
    kept = [f for f in findings if f not in absent or str(Path(f.file).parent) not in many]
    return [
        *kept,
        *(
            not_derived(folder, f"{count} files: {what}")
            for (folder, what), count in sorted(counts.items())
            if folder in many
        ),
    ]


def uncovered(stages: list[Stage], sealed: Iterable[str], run_dir: Path) -> list[str]:
    """Files that neither a sidecar nor the report names, sorted; hidden ones are left out."""
    known = {*makers(stages), *sealed}
    files = (p.relative_to(run_dir).as_posix() for p in run_dir.rglob("*") if p.is_file())
    return sorted(
        name
        for name in files
        if name not in known and not any(part.startswith(".") for part in Path(name).parts)
    )
