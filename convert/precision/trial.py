"""Running an ONNX file on ONNX Runtime's processor provider with real samples: what quantizing is
calibrated on and judged by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portproof.core.errors import InputError, MissingPackageError, ToolError
from portproof.manifest import Sample

Array = npt.NDArray[Any]
Feeds = Mapping[str, Array]


def session_of(model: Path, optimised: bool = True) -> Any:
    """A session on the processor; :class:`ToolError` when ONNX Runtime does not load the file.
    ``optimised``: whether it may fuse and reorder operators.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "quantizing", "convert") from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Spinning threads would slow whatever runs next in this process several times.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        raise ToolError(
            f"ONNX Runtime does not load '{model.name}': {' '.join(str(error).split())[:300]}"
        ) from error


def feeds_of(model: Path, inputs: Sequence[Any], sample: Sample) -> dict[str, Array]:
    """One sample for a session's inputs, its size checked; repeated for a fixed batch."""
    if len(inputs) != len(sample.files):
        raise InputError(
            f"sample '{sample.id}' has {len(sample.files)} files, '{model}' has {len(inputs)}"
            " inputs"
        )
    feeds = {}
    for node, file in zip(inputs, sample.files, strict=True):
        shape = node.shape[1:]
        if not all(isinstance(d, int) for d in shape):
            raise InputError(
                f"input '{node.name}' of '{model}' has dynamic dimensions beside the batch, which"
                " calibration cannot fill"
            )
        array = np.fromfile(file, _dtype(node))
        if array.size != int(np.prod(shape)):
            raise InputError(
                f"'{file}' holds {array.size} values of {array.dtype}, input '{node.name}' takes"
                f" {int(np.prod(shape))}"
            )
        feeds[node.name] = np.repeat(
            array.reshape(1, *shape), node.shape[0] if isinstance(node.shape[0], int) else 1, axis=0
        )
    return feeds


def random_feeds(inputs: Sequence[Any]) -> dict[str, Array]:
    """Random values for the inputs of a session, always the same; open dimensions are 1."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Array] = {}
    for node in inputs:
        shape, dtype = [d if isinstance(d, int) else 1 for d in node.shape], _dtype(node)
        feeds[node.name] = (
            rng.normal(size=shape).astype(dtype)
            if dtype.kind == "f"
            else rng.integers(0, 2, shape).astype(dtype)
        )
    return feeds


def difference(before: Any, after: Any, probes: Sequence[Feeds]) -> dict[str, float]:
    """The largest difference of the outputs of two sessions, absolute and relative to the range of
    the first one's output.

    Outputs of whole numbers are ranks and classes, whose difference is not a distance; they are
    left out. :class:`ToolError` for values that are not finite.
    """
    largest = relative = 0.0
    for feeds in probes:
        for a, b in zip(before.run(None, feeds), after.run(None, feeds), strict=True):
            if a.dtype.kind != "f":
                continue
            if not np.isfinite(b).all():
                raise ToolError(
                    "the file in lower precision gives values that are not finite: the model's"
                    " range is too large for it"
                )
            gap = float(np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)), initial=0.0))
            spread = float(np.ptp(a.astype(np.float64))) if a.size else 0.0
            largest, relative = max(largest, gap), max(relative, gap / spread if spread else gap)
    return {"absolute": largest, "relative": relative}


def _dtype(node: Any) -> np.dtype[Any]:
    name = str(node.type).removeprefix("tensor(").removesuffix(")")
    dtype: np.dtype[Any] = np.dtype({"float": "float32", "double": "float64"}.get(name, name))
    return dtype
