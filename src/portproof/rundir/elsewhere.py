"""A run directory that was begun on another host: what was made there is kept where this host
cannot make it.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from portproof.core import progress
from portproof.proof.sidecar import Proof, is_same_file, proof_of
from portproof.rundir.step import Step


def made_elsewhere(step: Step, run_dir: Path) -> bool:
    """Whether a step's artefact is there, whole, and cannot be made on this host, because an input
    or a package is not here; says so.
    """
    proof = proof_of(run_dir / step.artefact) if step.artefact else None
    if proof is None:
        return False
    lacking = _lacking(proof, run_dir)
    if lacking is None or not all(
        is_same_file(record, run_dir / record.path) for record in proof.outputs
    ):
        return False
    progress.say(
        f"{step.name}: {step.artefact} is kept as it was made elsewhere, since {lacking} is not on"
        " this host"
    )
    return True


def _lacking(proof: Proof, run_dir: Path) -> str | None:
    """What the step needs and this host does not have: a file from outside the run directory, or a
    package.
    """
    for records in proof.inputs.values():
        for record in records:
            if Path(record.path).is_absolute() and not Path(record.path).exists():
                return f"'{record.path}'"
    for name in proof.versions:
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            return f"the package '{name}'"
    return None
