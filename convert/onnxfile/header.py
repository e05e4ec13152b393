"""What an ONNX file says about itself, read without its weights, before any runtime opens it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.convert.onnxfile.load import load_without_weights
from portproof.core.errors import InputError
from portproof.core.files import existing_file

if TYPE_CHECKING:
    import onnx

_INT8_OPS = {
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeLinear",
}
_FLOAT16, _EXTERNAL = 10, 1  # onnx.TensorProto.FLOAT16 and .EXTERNAL


@dataclass(slots=True)
class OnnxHeader:
    """Opset of the default domain, IR version, the file's own key-value notes, where tensors keep
    their data outside the file, whether tensors are float16, and whether operators are quantized.
    """

    opset: int | None = None
    ir_version: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    half: bool = False
    quantized: bool = False

    def refuse_outside_data(self, model: Path) -> None:
        """:class:`InputError` when a tensor's data is to be read from outside the model's own
        folder.
        """
        folder = model.resolve().parent
        for location in sorted(self.external):
            if os.path.isabs(location) or not (folder / location).resolve().is_relative_to(folder):
                raise InputError(
                    f"'{model}' wants to read weights from '{location}', outside its own folder;"
                    " that is refused: keep them beside the model"
                )
            existing_file(folder / location, f"the external data of '{model}'")

    def files(self, model: Path) -> list[Path]:
        """The model file and the files of its external data, sorted."""
        return [model, *(model.resolve().parent / location for location in sorted(self.external))]


def read_header(model: Path) -> OnnxHeader:
    """Read the header; :class:`InputError` when the file is not ONNX (or is cut short)."""
    proto = load_without_weights(model, "reading an ONNX file", "ort")
    header = OnnxHeader(
        ir_version=proto.ir_version,
        metadata={entry.key: entry.value for entry in proto.metadata_props},
    )
    header.opset = next(
        (o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), None
    )
    for tensor in _tensors(proto):
        header.half |= tensor.data_type == _FLOAT16
        if tensor.data_location == _EXTERNAL:
            header.external |= {
                entry.value for entry in tensor.external_data if entry.key == "location"
            }
    header.quantized = any(node.op_type in _INT8_OPS for node in _nodes(proto))
    return header


def _graphs(proto: onnx.ModelProto) -> Iterator[Any]:
    """The main graph, the functions, training graphs, and every graph inside a node of one
    of them.
    """
    waiting = [
        proto.graph,
        *proto.functions,
        *(g for t in proto.training_info for g in (t.initialization, t.algorithm)),
    ]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [
            g
            for node in graph.node
            for a in node.attribute
            for g in ([a.g] if a.HasField("g") else a.graphs)
        ]


def _nodes(proto: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(proto):
        yield from graph.node


def _tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a model can hold: initializers, sparse ones, and those of attributes."""
    for graph in _graphs(proto):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
    for node in _nodes(proto):
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else attribute.tensors)
            for sparse in (
                [attribute.sparse_tensor]
                if attribute.HasField("sparse_tensor")
                else attribute.sparse_tensors
            ):
                yield from (sparse.values, sparse.indices)
