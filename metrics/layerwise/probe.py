"""An ONNX model whose intermediate tensors can be looked at, some at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from portproof.backend import Array, LoadRequest, TensorSpec, complete
from portproof.convert.onnxfile.read import load_onnx
from portproof.core.errors import InputError, MissingPackageError
from portproof.infer.backends import ort
from portproof.infer.runtimes.model_files import sample_shapes

#: What a tensor of unknown shape is taken to need, and what the tensors looked at together may
#: need, in bytes.
_UNKNOWN_BYTES, _TOGETHER_BYTES = 4 << 20, 128 << 20
#: Protocol buffers hold no more.
_LARGEST_MODEL = (1 << 31) - 1


@dataclass(frozen=True)
class ProbedTensor:
    """The output of a node: its name, the node's operator and name, and its inputs."""

    name: str
    op: str
    node: str
    reads: tuple[str, ...]


class Probe:
    """A model and its intermediate tensors, in the order in which they are computed.

    ONNX Runtime runs it node by node, without optimising it: a fused node has no intermediate
    tensors.
    """

    def __init__(self, path: Path, card: str | None) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise MissingPackageError(
                error.name or "onnx", "the comparison of layers", "convert"
            ) from error
        self._onnx, self._runtime, self.path = onnx, onnxruntime, path
        session = ort.load(path, LoadRequest())
        self.inputs: tuple[TensorSpec, ...] = complete(session.inputs, sample_shapes(card))
        self.outputs = [spec.name for spec in session.outputs]
        session.close()
        self._model = load_onnx(path)
        if self._model.ByteSize() > _LARGEST_MODEL:
            raise InputError(
                f"'{path}' is larger than 2 GiB with its weights, more than can be run with its"
                " layers visible"
            )
        self.tensors = [
            ProbedTensor(name, node.op_type, node.name, tuple(node.input))
            for node in self._model.graph.node
            for name in node.output
            if name
        ]
        self._bytes = self._sizes()

    def _sizes(self) -> dict[str, int]:
        """Bytes of every tensor for one sample, as far as shapes can be inferred."""
        try:
            inferred = self._onnx.shape_inference.infer_shapes(self._model)
        # operators of other domains have no inference; sizes only decide how many tensors are
        # looked at together
        except Exception:
            inferred = self._model
        sizes = {}
        for value in (*inferred.graph.value_info, *inferred.graph.output):
            shape = value.type.tensor_type.shape.dim
            sizes[value.name] = 8 * int(
                np.prod([max(1, d.dim_value) for d in shape], dtype=np.int64)
            )
        return sizes

    def groups(self, names: Sequence[str]) -> Iterator[list[str]]:
        """The names in order, in groups that fit into memory together."""
        group: list[str] = []
        total = 0
        for name in names:
            size = self._bytes.get(name, _UNKNOWN_BYTES)
            if group and total + size > _TOGETHER_BYTES:
                yield group
                group, total = [], 0
            group.append(name)
            total += size
        if group:
            yield group

    def session(self, names: Sequence[str]) -> Any:
        """An ONNX Runtime session whose outputs are these tensors."""
        del self._model.graph.output[:]
        self._model.graph.output.extend([self._onnx.ValueInfoProto(name=name) for name in names])
        options = self._runtime.SessionOptions()
        options.graph_optimization_level = self._runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        try:
            return self._runtime.InferenceSession(
                self._model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own exceptions have no common class
            raise InputError(
                f"'{self.path}' cannot be run with its layers visible:"
                f" {' '.join(str(error).split())[:300]}"
            ) from error

    def feeds(self, samples: Mapping[str, Array], other: Sequence[TensorSpec]) -> dict[str, Array]:
        """The samples of another model's inputs, by position, in this model's names and dtypes."""
        return {
            mine.name: samples[its.name].astype(mine.dtype, copy=False)
            for mine, its in zip(self.inputs, other, strict=True)
        }
