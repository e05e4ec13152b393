"""Files that a result and a reference were made of, by their sidecars, where they are on this host
and still the same.
"""

from __future__ import annotations

from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.proof.sidecar import FileRecord, proof_of, root_of

#: Files between a result and the ONNX file that it was made of.
_STEPS = 3


def onnx_of(result: Path) -> Path | None:
    """The ONNX file that the result was made with, or that its engine was made of, if it is on this
    host and still the same.
    """
    artefact = result
    for _ in range(_STEPS):
        record = _model_of(artefact)
        if record is None:
            return None
        path = root_of(artefact) / record.path
        if path.suffix == ".onnx":
            return path if path.is_file() and sha256_of(path) == record.sha256 else None
        artefact = path
    return None


def _model_of(artefact: Path) -> FileRecord | None:
    """The model in the sidecar of a result or of an engine; None where there is none to read."""
    try:
        proof = proof_of(artefact)
    except InputError as error:
        progress.warn(f"not tried: what the sidecar names; {error}")
        return None
    models = proof.inputs.get("model", []) if proof else []
    return next(
        (r for r in models if Path(r.path).suffix == ".onnx"), models[0] if models else None
    )
