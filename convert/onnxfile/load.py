"""Open an ONNX file without its external weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import existing_file

if TYPE_CHECKING:
    import onnx


def load_without_weights(path: Path, needed_for: str, extra: str) -> onnx.ModelProto:
    """The model; :class:`InputError` when the file is no ONNX model. ``needed_for`` and ``extra``
    say what to install where the package is absent.
    """
    existing_file(path, "ONNX model")
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingPackageError("onnx", needed_for, extra) from error
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError as error:
        raise InputError(
            f"'{path}' is not an ONNX file, or is cut short; export it again"
        ) from error
    if not model.ir_version or not model.graph.node:
        raise InputError(
            f"'{path}' is not an ONNX file: it has no IR version or no graph; export it again"
        )
    return model
