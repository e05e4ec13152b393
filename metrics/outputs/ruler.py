"""The noise ruler: the reference model with its weights and activations rounded to a precision.

What the reference itself loses by that is what a sound port of this precision loses too, model by
model and sample by sample; a constant tolerance is too tight for one model and hides faults in
another. Rounding stands after every operator, so it is not less than what hardware does that keeps
sums in a wider type (as Ascend's cube units and tensor cores do by default).
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from portproof.convert.onnxfile import save
from portproof.convert.onnxfile.read import load_onnx
from portproof.convert.precision.int8 import write_int8
from portproof.convert.precision.trial import feeds_of, session_of
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.manifest import Sample

if TYPE_CHECKING:
    import onnx

#: fp32 is not exact either: sums in another order, and fused operators, cost the last bits. Here 2
#: of its 24 bits, of every activation, by Veltkamp's splitting (Numerische Mathematik 18, 1971).
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_SPLIT = 2**2 + 1
_FLOAT, _FLOAT16, _BFLOAT16 = 1, 10, 16  # onnx.TensorProto's element types

Array = NDArray[Any]


def rounded_outputs(
    model: Path, samples: Sequence[Sample], precision: str
) -> Iterator[tuple[str, list[Array], list[Array]]]:
    """For each sample its id, the outputs of the model as it is, and of the rounded one, without
    the batch, in the model's order.

    Raises :class:`InputError` for another precision or a model that cannot be read, and
    :class:`ToolError` if ONNX Runtime does not run it, or takes the rounding out.
    """
    if precision not in PRECISIONS:
        raise InputError(
            f"the precision is '{precision}', one of {', '.join(PRECISIONS)} was expected"
        )
    with tempfile.TemporaryDirectory() as scratch:
        rounded = Path(scratch, "rounded.onnx")
        if precision == "int8":
            with progress.meter("quantize", 1, "models") as meter:
                write_int8(model, list(samples), "minmax", rounded, Path(scratch))
                meter.advance(1)
        else:
            save.save(rounded_model(load_onnx(model), precision), rounded)
        # Optimisation would fuse operators, and take rounding out.
        plain, noisy = session_of(model, optimised=False), session_of(rounded, optimised=False)
        differ = False
        with progress.meter("ruler", len(samples), "samples") as meter:
            for sample in samples:
                feeds = feeds_of(model, plain.get_inputs(), sample)
                one, other = ([a[0] for a in s.run(None, feeds)] for s in (plain, noisy))
                differ |= any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
                yield sample.id, one, other
                meter.advance(1)
        if not differ:
            raise ToolError(
                f"rounding '{model}' to {precision} changes no output of {len(samples)} samples:"
                " there is no noise to measure by; do its outputs depend on its inputs?"
            )


def rounded_model(
    model: onnx.ModelProto,
    precision: str,
    kept: Collection[str] = (),
    narrow: Collection[str] | None = None,
) -> onnx.ModelProto:
    """The model with its float32 weights, inputs and results of operators rounded to ``fp32`` (22
    bits), ``fp16`` or ``bf16``. Graphs inside operators (If, Loop) are left as they are.

    ``kept``: nodes, by name or by an output, that stay in float32; they read one another's results
    as they are. ``narrow``: the tensors that are rounded, all of float32 by default.
    """
    import onnx
    from onnx import helper

    inferred = onnx.shape_inference.infer_shapes(model)
    floats = {
        v.name
        for v in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)
        if v.type.tensor_type.elem_type == _FLOAT and (narrow is None or v.name in narrow)
    }
    graph = model.graph
    wide = _places_of(graph, kept)
    if narrow is None:
        _round_weights(graph, precision, {i for at in wide for i in graph.node[at].input})
    splitter = helper.make_tensor("ruler_split", _FLOAT, [], [_SPLIT])
    graph.initializer.append(splitter)
    own = {w.name for w in graph.initializer}
    renamed = {v.name: f"{v.name}_rounded" for v in graph.input if v.name in floats - own}
    made = [n for name, new in renamed.items() for n in _rounding(name, new, precision)]
    finals, unrounded = {v.name for v in graph.output}, set[str]()
    for place, node in enumerate(graph.node):
        exact = unrounded if place in wide else ()
        node.input[:] = [name if name in exact else renamed.get(name, name) for name in node.input]
        after: list[Any] = []
        for at, name in enumerate(node.output):
            if name not in floats:
                continue
            if name in finals and place in wide:
                continue
            if name in finals:  # an output keeps its name, and is the rounded value
                node.output[at] = f"{name}_exact"
                after += _rounding(f"{name}_exact", name, precision)
            else:
                renamed[name] = f"{name}_rounded"
                after += _rounding(name, f"{name}_rounded", precision)
            if place in wide:
                unrounded.add(name)
        made += [node, *after]
    nodes = [type(node).FromString(node.SerializeToString()) for node in made]
    del graph.node[:]
    graph.node.extend(nodes)
    if precision == "bf16":  # Cast knows bfloat16 from opset 13 on
        for entry in model.opset_import:
            if entry.domain in ("", "ai.onnx") and entry.version < 13:
                return onnx.version_converter.convert_version(model, 13)
    return model


def _places_of(graph: onnx.GraphProto, names: Collection[str]) -> set[int]:
    """Where nodes stand, by name or by an output. (Their Python objects are others whenever they
    are asked for.)
    """
    nodes = enumerate(graph.node)
    return {at for at, n in nodes if n.name in names or any(o in names for o in n.output)}


def _round_weights(graph: onnx.GraphProto, precision: str, kept: Collection[str]) -> None:
    """Round the float32 weights but for those that nodes in float32 read."""
    from onnx import numpy_helper

    for weight in graph.initializer:
        if weight.data_type == _FLOAT and precision != "fp32" and weight.name not in kept:
            values = _rounded_array(numpy_helper.to_array(weight), precision)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))


def _rounding(source: str, target: str, precision: str) -> list[onnx.NodeProto]:
    from onnx import helper

    if precision != "fp32":
        kind = _FLOAT16 if precision == "fp16" else _BFLOAT16
        return [
            helper.make_node("Cast", [source], [f"{target}_low"], to=kind),
            helper.make_node("Cast", [f"{target}_low"], [target], to=_FLOAT),
        ]
    wide, rest = f"{target}_wide", f"{target}_rest"
    return [
        helper.make_node("Mul", [source, "ruler_split"], [wide]),
        helper.make_node("Sub", [wide, source], [rest]),
        helper.make_node("Sub", [wide, rest], [target]),
    ]


def _rounded_array(values: Array, precision: str) -> Array:
    """To the nearest, ties to even, as Cast does."""
    if precision == "fp16":
        with np.errstate(over="ignore"):
            return values.astype(np.float16).astype(np.float32)
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    carry = np.uint64(0x7FFF) + ((bits >> np.uint64(16)) & np.uint64(1))
    kept = ((bits + carry) >> np.uint64(16)) << np.uint64(16)
    return kept.astype(np.uint32).view(np.float32)
