"""float16 as a device computes it, on a processor.

A processor's runtime computes a float16 file in float32, and takes pairs of casts out between its
operators: what overflows between two operators on a device does not overflow there. Here the file
is made float32, and every result that was float16 is rounded to it and back by operators that stay.
Sums inside an operator are kept wide, as cube units and tensor cores keep them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.metrics.outputs.ruler import rounded_model

if TYPE_CHECKING:
    import onnx

_FLOAT, _FLOAT16 = 1, 10  # onnx.TensorProto's element types
#: So many weights at least, to say from them what a file was rounded to.
_FEWEST_WEIGHTS = 32
#: The share of weight tensors that must be exact: a faulty layer's are not.
_ROUNDED_SHARE = 0.75


def widened(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The model in float32 with every float16 result rounded to float16, and the names of the
    rounded tensors by the file's own names.
    """
    narrow = _narrow(model)
    graph = model.graph
    for weight in graph.initializer:
        _widen(weight)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _FLOAT16:
            value.type.tensor_type.elem_type = _FLOAT
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                _widen(attribute.t)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == _FLOAT16:
                attribute.i = _FLOAT
    rounded = rounded_model(model, "fp16", narrow=narrow)
    made = {name for node in rounded.graph.node for name in node.output}
    return rounded, {name: f"{name}_rounded" for name in narrow if f"{name}_rounded" in made}


def _narrow(model: onnx.ModelProto) -> set[str]:
    """The tensors of float16; of what has no known type, those whose node reads one."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph
    kinds = {
        v.name: v.type.tensor_type.elem_type
        for v in (*inferred.input, *inferred.output, *inferred.value_info)
    } | {w.name: w.data_type for w in model.graph.initializer}
    for node in model.graph.node:
        reads = [kinds.get(name) for name in node.input]
        for name in node.output:
            if name not in kinds and _FLOAT16 in reads:
                kinds[name] = _FLOAT16
    weights = {w.name for w in model.graph.initializer}
    return {name for name, kind in kinds.items() if kind == _FLOAT16} - weights


def _widen(tensor: Any) -> None:
    from onnx import numpy_helper

    if tensor.data_type == _FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def hidden_precision(model: onnx.ModelProto) -> str | None:
    """``fp16`` or ``bf16`` if the float32 weights of a file are numbers of that type, but for a few
    tensors: its weights were rounded, whatever the file's types say. None otherwise, and for few
    weights.
    """
    exact, tensors, count = {"fp16": 0, "bf16": 0}, 0, 0
    for values in _float_weights(model):
        tensors, count = tensors + 1, count + values.size
        with np.errstate(over="ignore", invalid="ignore"):
            exact["fp16"] += np.array_equal(values.astype(np.float16).astype(np.float32), values)
        exact["bf16"] += not np.any(values.view(np.uint32) & np.uint32(0xFFFF))
    rounded = [p for p, n in exact.items() if tensors and n >= _ROUNDED_SHARE * tensors]
    return rounded[0] if rounded and count >= _FEWEST_WEIGHTS else None


def _float_weights(model: onnx.ModelProto) -> Iterator[Any]:
    from onnx import numpy_helper

    for weight in model.graph.initializer:
        if weight.data_type == _FLOAT:
            yield np.ascontiguousarray(numpy_helper.to_array(weight)).reshape(-1)
