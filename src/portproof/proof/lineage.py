"""Which stage made which file of a run directory, from the sidecars alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from portproof.core.stages import STAGES, VERBS
from portproof.proof.sidecar import SUFFIX, FileRecord, Proof, read_proof

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


def read_stages(run_dir: Path) -> list[Stage]:
    """Every stage of the run directory, in the order in which they began; ties keep the order of
    their paths.

    Raises :class:`portproof.core.errors.InputError` for a damaged sidecar.
    """
    found = [
        Stage(path.relative_to(run_dir).as_posix().removesuffix(SUFFIX), read_proof(path))
        for path in sidecars_in(run_dir)
    ]
    return sorted(found, key=lambda stage: stage.proof.started)


def makers(stages: list[Stage]) -> dict[str, Stage]:
    """Path (as sidecars store it) -> the stage that wrote it; a sidecar counts as written by its
    own stage.
    """
    made = {record.path: stage for stage in stages for record in stage.proof.outputs}
    return made | {stage.sidecar: stage for stage in stages}
