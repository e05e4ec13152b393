"""The head of an ONNX file, read without its external weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portproof.backend import TensorSpec
from portproof.core.errors import InputError, MissingPackageError
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
#: The default domain, which files spell in two ways.
DEFAULT_DOMAIN = "ai.onnx"


@dataclass(frozen=True, slots=True)
class OnnxHead:
    """An ONNX file without its weights.

    ``inputs`` and ``outputs`` in order, dynamic dimensions None, without the inputs that have a
    value in the file (``outputs`` is None if the file does not give their shapes); ``opsets``:
    domain -> version; ``operators``: the types of all nodes of the default domain; ``domains``: the
    other domains that nodes use; ``metadata``: the file's own key-value notes; ``external``: where
    tensors keep their data outside the file; ``half``: whether a tensor is float16; ``quantized``:
    whether an operator is quantized.
    """

    path: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] | None
    ir_version: int
    opsets: Mapping[str, int]
    operators: frozenset[str]
    domains: frozenset[str]
    metadata: Mapping[str, str]
    external: frozenset[str]
    half: bool
    quantized: bool

    @property
    def opset(self) -> int | None:
        """The version of the default domain; None if the file imports none."""
        return self.opsets.get(DEFAULT_DOMAIN)

    @property
    def files(self) -> list[Path]:
        """The model file and the files of its external data, sorted."""
        folder = self.path.resolve().parent
        return [self.path, *(folder / location for location in sorted(self.external))]


def read_onnx(path: Path) -> OnnxHead:
    """Read a file's head; :class:`InputError` if the file is not ONNX, is cut short, or keeps
    tensor data outside its own folder.
    """
    model = _load(path)
    weights = {w.name for w in model.graph.initializer}
    values = [v for v in model.graph.input if v.name not in weights]
    nodes, tensors = list(nodes_of(model)), list(_tensors(model))
    types = {(n.domain or DEFAULT_DOMAIN, n.op_type) for n in nodes}
    interface = [v.type.tensor_type.elem_type for v in (*values, *model.graph.output)]
    shapes_known = all(v.type.tensor_type.HasField("shape") for v in model.graph.output)
    head = OnnxHead(
        path,
        inputs=tuple(map(_spec, values)),
        outputs=tuple(map(_spec, model.graph.output)) if shapes_known else None,
        ir_version=model.ir_version,
        opsets=opsets_of(model),
        operators=frozenset(kind for domain, kind in types if domain == DEFAULT_DOMAIN),
        domains=frozenset(domain for domain, _ in types if domain != DEFAULT_DOMAIN),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        external=frozenset(
            entry.value
            for tensor in tensors
            if tensor.data_location == _EXTERNAL
            for entry in tensor.external_data
            if entry.key == "location"
        ),
        half=_FLOAT16 in {*(t.data_type for t in tensors), *interface},
        quantized=any(kind in _INT8_OPS for _, kind in types),
    )
    _refuse_outside_data(head)
    for tensor in tensors:
        if tensor.data_location == _EXTERNAL:
            _refuse_cut_data(head, {e.key: e.value for e in tensor.external_data})
    return head


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read a whole model with the data of its tensors, which are all inside its own folder;
    :class:`InputError` as for :func:`read_onnx`, and for data that is cut short.
    """
    read_onnx(path)
    import onnx

    try:
        return onnx.load(str(path))
    except Exception as error:  # a wrong place of the data raises what onnx's C++ raises
        raise InputError(
            f"the tensor data of '{path}' cannot be read ({' '.join(str(error).split())[:200]});"
            " export it again"
        ) from error


def _refuse_cut_data(head: OnnxHead, entries: Mapping[str, str]) -> None:
    """Refuse a file of tensor data that ends before the tensor does (onnx's ``external_data``)."""
    numbers = [entries.get(key, "0") for key in ("offset", "length")]
    size = (head.path.resolve().parent / entries.get("location", "")).stat().st_size
    if not all(n.isascii() and n.isdecimal() and len(n) < 19 for n in numbers) or (
        sum(map(int, numbers)) > size
    ):
        raise InputError(
            f"'{entries.get('location')}' holds {size} bytes and '{head.path}' reads"
            f" {numbers[1]} bytes at {numbers[0]} of it: it is cut short; export the model again"
        )


def _refuse_outside_data(head: OnnxHead) -> None:
    folder = head.path.resolve().parent
    for location in sorted(head.external):
        if os.path.isabs(location) or not (folder / location).resolve().is_relative_to(folder):
            raise InputError(
                f"'{head.path}' wants to read weights from '{location}', outside its own folder;"
                " that is refused: keep them beside the model"
            )
        existing_file(folder / location, f"the external data of '{head.path}'")


def _load(path: Path) -> onnx.ModelProto:
    existing_file(path, "ONNX model")
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingPackageError("onnx", "reading an ONNX file", "ort") from error
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


def opsets_of(model: onnx.ModelProto) -> dict[str, int]:
    """Domain -> version of the operator sets that a model imports."""
    return {entry.domain or DEFAULT_DOMAIN: entry.version for entry in model.opset_import}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the default domain that a model imports."""
    return opsets_of(model)[DEFAULT_DOMAIN]


def graphs_in(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds, such as the branches of an If."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node of a model, in functions and in graphs inside nodes too."""
    for graph in _graphs(model):
        yield from graph.node


def _graphs(model: onnx.ModelProto) -> Iterator[Any]:
    """The main graph, functions, training graphs, and every graph inside a node of them."""
    waiting = [
        model.graph,
        *model.functions,
        *(g for t in model.training_info for g in (t.initialization, t.algorithm)),
    ]
    while waiting:
        graph = waiting.pop()
        yield graph
        waiting += [inner for node in graph.node for inner in graphs_in(node)]


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a model can hold: initializers, sparse ones, and those of attributes."""
    for graph in _graphs(model):
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
    for attribute in (a for node in nodes_of(model) for a in node.attribute):
        yield from [attribute.t] if attribute.HasField("t") else attribute.tensors
        for sparse in (
            [attribute.sparse_tensor]
            if attribute.HasField("sparse_tensor")
            else attribute.sparse_tensors
        ):
            yield from (sparse.values, sparse.indices)


def _spec(value: Any) -> TensorSpec:
    """An input or output of a graph. Older tools write a dynamic dimension as -1."""
    tensor = value.type.tensor_type
    shape = tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim)
    return TensorSpec(value.name, _dtype(tensor.elem_type), shape)


def _dtype(element_type: int) -> str:
    """NumPy's name of an element type; ``unknown`` if it is not a tensor of a known type."""
    from onnx.helper import tensor_dtype_to_np_dtype

    try:
        return tensor_dtype_to_np_dtype(element_type).name
    except KeyError:
        return "unknown"
