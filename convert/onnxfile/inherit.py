"""What a converted model takes over from the file that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portproof.convert.onnxfile.read import read_onnx
from portproof.core.errors import InputError
from portproof.core.yamlfile import as_data
from portproof.preprocess.pixels.normalisation import FACT, METADATA_KEY, from_metadata, from_proof
from portproof.proof.sidecar import proof_of


def normalisation_fact(model: Path, aipp: Path | None = None) -> dict[str, Any]:
    """Where the converted model's input is normalised, as a fact for its sidecar: as the ONNX file
    says, or by the AIPP configuration.

    Empty when neither says anything (files from elsewhere). An AIPP configuration over a model that
    normalises already is refused.
    """
    written = from_metadata(read_onnx(model).metadata.get(METADATA_KEY), str(model))
    inside = from_proof(proof_of(aipp)) if aipp else None
    if aipp and written and written.where == "in the model":
        raise InputError(
            f"'{model}' normalises its input already, and '{aipp}' would do it again: convert"
            " without --aipp, or export without folding"
        )
    normalisation = inside if aipp else written
    return {FACT: as_data(normalisation)} if normalisation else {}
