"""Write ONNX files; the tensors of a model that one file cannot hold go to a file beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx

#: An ONNX file is one protocol buffer, which holds 2 GiB; a larger model's tensors are in a file
#: beside it.
LARGEST_FILE = 2**31 - 2**20


def is_large(model: onnx.ModelProto) -> bool:
    """Whether a model, with its tensors loaded, is too large for one file."""
    return sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE


def save(model: onnx.ModelProto, path: Path) -> None:
    """Write a model, a large one with ``<name>.data``. Equal models give equal bytes."""
    import onnx

    if is_large(model):
        onnx.save_model(model, str(path), save_as_external_data=True, location=f"{path.name}.data")
    else:
        path.write_bytes(model.SerializeToString(deterministic=True))


def publish(draft: Path, target: Path) -> list[Path]:
    """Move the files of the draft's folder to the target's, the ONNX file last; they are returned
    in the order of a sidecar, the ONNX file first.
    """
    outputs = []
    for file in sorted(draft.parent.iterdir(), key=lambda p: p == draft):
        with open(file, "rb") as handle:
            os.fsync(handle.fileno())
        outputs.append(target.parent / file.name)
        os.replace(file, outputs[-1])
    return outputs[::-1]
