"""Which stage made which file of a run directory, from the sidecars alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from portproof.core import STAGES, VERBS
from portproof.core.errors import InputError
from portproof.proof.sidecar import SUFFIX, FileRecord, Proof, read_proof, root_of

_PUBLIC = {file: verb for verb, file in VERBS.items()}


@dataclass(frozen=True)
class Stage:
    """A finished stage: its artefact (relative to the run directory) and its sidecar."""

    artefact: str
    proof: Proof

    @property
    def sidecar(self) -> str:
        """The sidecar's path, relative to the run directory."""
        return self.artefact + SUFFIX

    @property
    def command(self) -> list[str]:
        """The command that made it, as it can be typed anywhere: ``portproof NAME ...``; ``python
        FILE ...`` for a script of no stage.
        """
        if not self.proof.command:
            return []
        program, *rest = self.proof.command
        path = PurePath(program)
        if program.startswith("portproof "):
            return [*program.split(" ", 1), *rest]
        if path.suffix == ".py" and path.parent.name in STAGES:
            return ["portproof", _PUBLIC.get(path.stem, path.stem), *rest]
        return ["python", program, *rest]

    @property
    def records(self) -> Iterator[tuple[str, FileRecord]]:
        """Every input with its role."""
        for role, records in self.proof.inputs.items():
            for record in records:
                yield role, record


def sidecars_in(run_dir: Path) -> list[Path]:
    """The sidecars of a run directory, sorted by path."""
    return sorted(run_dir.rglob(f"*{SUFFIX}"))


def readable_stages(run_dir: Path) -> tuple[list[Stage], dict[str, str]]:
    """The stages whose sidecars can be read, in the order in which they began (ties keep the order
    of their paths), and what is wrong with the other sidecars, by artefact.
    """
    stages, damaged = [], {}
    for path in sidecars_in(run_dir):
        artefact = path.relative_to(run_dir).as_posix().removesuffix(SUFFIX)
        try:
            stages.append(Stage(artefact, read_proof(path)))
        except InputError as error:
            damaged[artefact] = str(error)
    return sorted(stages, key=lambda stage: stage.proof.started), damaged


def read_stages(run_dir: Path) -> list[Stage]:
    """Every stage of the run directory, in the order in which they began;
    :class:`portproof.core.errors.InputError` for a damaged sidecar.
    """
    stages, damaged = readable_stages(run_dir)
    for why in damaged.values():
        raise InputError(why)
    return stages


def makers(stages: list[Stage]) -> dict[str, Stage]:
    """Path as in sidecars -> the stage that wrote it; a sidecar belongs to its own stage."""
    made = {record.path: stage for stage in stages for record in stage.proof.outputs}
    return made | {stage.sidecar: stage for stage in stages}


def maker_of(path: Path) -> Proof | None:
    """The sidecar, in the same folder, of the stage that wrote a file beside its first output; None
    if there is none.
    """
    for sidecar in sorted(path.absolute().parent.glob(f"*{SUFFIX}")):
        proof, root = read_proof(sidecar), root_of(sidecar)
        if any((root / record.path) == path.absolute() for record in proof.outputs):
            return proof
    return None
