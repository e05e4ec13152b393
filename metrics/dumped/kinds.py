"""What a path is for the comparison of layers: an ONNX file, PyTorch weights, or layer dumps."""

from __future__ import annotations

import os
from pathlib import Path

from portproof.core.errors import InputError
from portproof.infer.backends import eager
from portproof.metrics.dumped import debugger, offline_model, run_results
from portproof.metrics.dumped.offline_model import OfflineModel
from portproof.metrics.layerwise.graph import Layered
from portproof.metrics.layerwise.modules import Modules
from portproof.metrics.layerwise.probe import Probe


def open_side(
    path: Path, card: str | None, emulate: str | None = None, om_json: str | None = None
) -> Layered:
    """The model or dumps at a path; :class:`InputError` for anything else. ``emulate`` rounds an
    ONNX file to a precision; ``om_json`` is the graph that ATC compiled, of an Ascend dump.
    """
    if not path.exists():
        raise InputError(f"the model '{path}' is missing")
    if emulate and path.suffix != ".onnx":
        raise InputError(
            f"'{path}' is not an ONNX file: only the arithmetic of one can be emulated; leave"
            " --emulate out"
        )
    if path.is_dir() or path.suffix == ".json":
        compiled = Path(om_json) if om_json else None
        dump = debugger.find(path) or run_results.find(path) or offline_model.find(path, compiled)
        if dump is not None:
            return dump
        raise InputError(
            f"'{path}' holds no layer dumps: msprobe's dump.json with dump_tensor_data, Ascend's"
            " files of operators (acl.json), or Polygraphy's outputs (--save-outputs) in JSON, were"
            " expected"
        )
    if path.suffix in eager.SUFFIXES:
        if card is None:
            raise InputError(
                f"'{path}' holds weights only: say which model they belong to with --model CARD"
            )
        return Modules(path, card)
    return Probe(path, card, emulate)


def open_sides(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    card: str | None,
    emulate: str | None,
    om_json: str | None,
) -> tuple[Layered, Layered]:
    """Both sides; errors as of :func:`open_side`, and where nothing is a dump that has a compiled
    graph.
    """
    one, other = open_side(Path(a), card, None, om_json), open_side(Path(b), card, emulate, om_json)
    if om_json and not any(isinstance(side, OfflineModel) for side in (one, other)):
        raise InputError(
            f"neither '{a}' nor '{b}' is a dump of an Ascend device: leave --om-json out"
        )
    return one, other
