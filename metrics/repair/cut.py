"""A part of an ONNX graph that runs alone, and smaller pieces of it that still show its fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError

if TYPE_CHECKING:
    import onnx

#: Channels and sides of pieces, the largest first.
_CHANNELS, _SIDES = (64, 16, 4, 1), (32, 12)


@dataclass(frozen=True)
class Part:
    """A model, its inputs by name, the name of its output, and what that should be."""

    model: onnx.ModelProto
    inputs: dict[str, Array]
    output: str
    right: Array

    def found(self) -> Array:
        """What ONNX Runtime computes, node by node."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        answer: Array = session.run([self.output], self.inputs)[0]
        return answer

    def error(self) -> float | None:
        """The relative error of the part, over the values that ``right`` has; None where it is not
        finite.
        """
        found = self.found()[tuple(slice(n) for n in self.right.shape)].astype(np.float64)
        right = self.right.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            error = float(np.linalg.norm(found - right)) / max(float(np.linalg.norm(right)), 1e-300)
        return error if np.isfinite(error) else None


def cut(
    model: onnx.ModelProto, output: str, known: Mapping[str, Array]
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """The nodes that compute ``output`` from tensors whose values are known, and these values."""
    import onnx
    from onnx import helper

    makers = {name: at for at, node in enumerate(model.graph.node) for name in node.output}
    weights = {w.name: w for w in model.graph.initializer}
    nodes, inputs, read, seen = set[int](), dict[str, Array](), [], set[str]()
    stack = [output]
    while stack:
        name = stack.pop()
        if name in seen or not name:
            continue
        seen.add(name)
        if name in known and name != output:
            inputs[name] = known[name]
        elif name in weights:
            read.append(weights[name])
        elif name in makers:
            nodes.add(makers[name])
            stack += model.graph.node[makers[name]].input
        else:
            raise InputError(f"nothing gives the tensor '{name}', which the faulty part reads")
    graph = helper.make_graph(
        [node for at, node in enumerate(model.graph.node) if at in nodes],
        "part",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim
            )
            for name, value in sorted(inputs.items())
        ],
        [onnx.ValueInfoProto(name=output)],
        read,
    )
    part = helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version
    )
    return part, dict(sorted(inputs.items()))


def shrunk(part: Part) -> Iterator[Part]:
    """Smaller pieces: fewer output channels of the operator with the weights, then a corner of the
    picture too. Each has the right result for what it keeps.
    """
    for channels in _CHANNELS:
        narrow = _narrowed(part, channels)
        if narrow is None:
            continue
        yield narrow
        for side in _SIDES:
            corner = _corner(narrow, side)
            if corner is not None:
                yield corner


def _narrowed(part: Part, channels: int) -> Part | None:
    """The part with the output channels whose error is largest; None where the graph is not one
    operator with weights and what works on each value alone.
    """
    from onnx import numpy_helper

    heavy = [n for n in part.model.graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    if len(heavy) != 1 or part.right.ndim < 2:
        return None
    node = heavy[0]
    settings = {a.name: a.i for a in node.attribute}
    if settings.get("group", 1) != 1 or node.input[1] not in {
        w.name for w in part.model.graph.initializer
    }:
        return None
    axis = 0 if node.op_type == "Conv" or settings.get("transB", 0) else 1
    at = 1 if node.op_type == "Conv" else part.right.ndim - 1
    keep = _worst(part, at, channels)
    model = type(part.model).FromString(part.model.SerializeToString())
    for weight in model.graph.initializer:
        if weight.name in node.input[1:]:
            values = numpy_helper.to_array(weight)
            sliced = np.take(values, keep, axis=axis if weight.name == node.input[1] else -1)
            weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(sliced), weight.name))
    return replace(part, model=model, right=np.take(part.right, keep, axis=at))


def _worst(part: Part, axis: int, channels: int) -> Any:
    others = tuple(i for i in range(part.right.ndim) if i != axis)
    with np.errstate(invalid="ignore", over="ignore"):
        gap = np.nan_to_num((part.found().astype(np.float64) - part.right) ** 2, nan=np.inf)
    order = np.argsort(-gap.sum(axis=others), kind="stable")
    return np.sort(order[:channels])


def _corner(part: Part, side: int) -> Part | None:
    """The part on the first rows and columns of its pictures, with the values that these alone
    decide.
    """
    if part.right.ndim != 4 or any(v.ndim != 4 for v in part.inputs.values()):
        return None
    inputs = {name: np.ascontiguousarray(v[:1, :, :side, :side]) for name, v in part.inputs.items()}
    whole, piece = part.found(), replace(part, inputs=inputs).found()
    rows, columns = min(whole.shape[2], piece.shape[2]), min(whole.shape[3], piece.shape[3])
    near: Any = np.isclose(
        whole[:1, :, :rows, :columns],
        piece[:, :, :rows, :columns],
        rtol=1e-4,
        atol=1e-5,
        equal_nan=True,
    )
    same: Array = near.all(axis=(0, 1))
    size = 0
    while size < min(same.shape) and same[: size + 1, : size + 1].all():
        size += 1
    if not size:
        return None
    return replace(part, inputs=inputs, right=part.right[:1, :, :size, :size])
