"""What a path is for the comparison of layers: an ONNX file, PyTorch weights, or layer dumps."""

from __future__ import annotations

from pathlib import Path

from portproof.core.errors import InputError
from portproof.infer.backends import eager
from portproof.metrics.layerwise.graph import Layered
from portproof.metrics.layerwise.modules import Modules
from portproof.metrics.layerwise.probe import Probe


def open_side(path: Path, card: str | None, emulate: str | None = None) -> Layered:
    """The model or dumps at a path; :class:`InputError` for anything else. ``emulate`` rounds an
    ONNX file to a precision.
    """
    if not path.exists():
        raise InputError(f"the model '{path}' is missing")
    if emulate and path.suffix != ".onnx":
        raise InputError(
            f"'{path}' is not an ONNX file: only the arithmetic of one can be emulated; leave"
            " --emulate out"
        )
    if path.is_dir() or path.suffix == ".json":
        from portproof.metrics.dumped import debugger, run_results

        dump = debugger.find(path) or run_results.find(path)
        if dump is not None:
            return dump
        raise InputError(
            f"'{path}' holds no layer dumps: msprobe's dump.json with dump_tensor_data, or"
            " Polygraphy's outputs (--save-outputs) in JSON, were expected"
        )
    if path.suffix in eager.SUFFIXES:
        if card is None:
            raise InputError(
                f"'{path}' holds weights only: say which model they belong to with --model CARD"
            )
        return Modules(path, card)
    return Probe(path, card, emulate)
