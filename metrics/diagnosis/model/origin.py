"""Files that a result and a reference were made of, by their sidecars, where they are on this host
and still the same.
"""

from __future__ import annotations

from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.proof.sidecar import FileRecord, Proof, proof_of, root_of

#: Files between a result and the ONNX file that it was made of.
_STEPS = 3


def onnx_of(result: Path) -> Path | None:
    """The ONNX file that the result was made with, or that its engine was made of, if it is on this
    host and still the same.
    """
    artefact = result
    for _ in range(_STEPS):
        models = _inputs_of(artefact, "model")
        if not models:
            return None
        record = next((r for r in models if Path(r.path).suffix == ".onnx"), models[0])
        path = root_of(artefact) / record.path
        if path.suffix == ".onnx":
            return _as_it_was(path, record)
        artefact = path
    return None


def weights_of(model: Path) -> Path | None:
    """The weights that an ONNX file was exported from, or a file that it was made of."""
    for _ in range(_STEPS):
        if _as_it_was(model, *_outputs_of(model)) is None:
            return None
        for record in _inputs_of(model, "weights"):
            return _as_it_was(root_of(model) / record.path, record)
        records = _inputs_of(model, "model")
        if not records:
            return None
        model = root_of(model) / records[0].path
    return None


def _as_it_was(path: Path, *records: FileRecord) -> Path | None:
    """The file, if one of the records is of its content."""
    if not records or not path.is_file():
        return None
    digest = sha256_of(path)
    return path if any(r.sha256 == digest for r in records) else None


def _inputs_of(artefact: Path, role: str) -> list[FileRecord]:
    """What a sidecar names; nothing where there is none to read."""
    proof = _proof_of(artefact)
    return proof.inputs.get(role, []) if proof else []


def _outputs_of(artefact: Path) -> list[FileRecord]:
    proof = _proof_of(artefact)
    return proof.outputs if proof else []


def _proof_of(artefact: Path) -> Proof | None:
    try:
        return proof_of(artefact)
    except InputError as error:
        progress.warn(f"not tried: what the sidecar names; {error}")
        return None
