"""fp32 ONNX to float16 tensors and arithmetic. Inputs and outputs stay float32."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from portproof.convert.onnxfile import save
from portproof.convert.onnxfile.form import drop_unused_domains, names_read, quiet
from portproof.convert.onnxfile.read import load_onnx, opset_of, read_onnx
from portproof.convert.precision.kept import kept_nodes, name_of
from portproof.convert.precision.trial import Feeds, session_of
from portproof.core import progress
from portproof.core.errors import MissingPackageError, ToolError
from portproof.core.text import listed

if TYPE_CHECKING:
    import onnx


def write_half(model: Path, draft: Path, kept: Collection[str] = ()) -> int:
    """Write the converted model; the opset. ``kept``: nodes that stay float32, by name or by an
    output. What moves the axes of a matrix product's input stays so too, which rounds nothing.
    """
    import onnx

    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise MissingPackageError("onnxruntime", "converting to fp16", "convert") from error
    read_onnx(model)
    # Shapes are inferred before the tensors are loaded, since no inference takes more than 2 GiB.
    loaded = onnx.shape_inference.infer_shapes(onnx.load(str(model), load_external_data=False))
    onnx.load_external_data_for_model(loaded, str(model.absolute().parent))
    turned = _turned_before_products(loaded.graph)
    if turned:
        progress.say(
            f"quantize: {listed(turned)} stay float32, which rounds nothing: ONNX Runtime crashes"
            " on a float16 Transpose before a MatMul"
        )
    with quiet():
        converted = convert_float_to_float16(
            loaded,
            keep_io_types=True,
            disable_shape_infer=True,
            node_block_list=kept_nodes(loaded, kept, model) + turned,
        )
    if kept or turned:
        join(converted.graph)
    sort(converted.graph)
    drop_unused_domains(converted)
    save.save(converted, draft)
    return opset_of(converted)


def _turned_before_products(graph: onnx.GraphProto) -> list[str]:
    """The names of the nodes that move the first axis of what a matrix product reads; nodes without
    a name get one.

    They stay float32, which changes no value: ONNX Runtime from 1.24 on dies of SIGSEGV on x86-64
    while it loads a float16 Transpose before a MatMul, since it exchanges the Transpose with the
    Cast that it puts between them, and then reads a node that it has not yet resolved
    (microsoft/onnxruntime#28392). Recurrent layers and attention that read the batch first end so.
    """
    read = {name for node in graph.node if node.op_type == "MatMul" for name in node.input}
    found = []
    for node in graph.node:
        if node.op_type != "Transpose" or node.output[0] not in read:
            continue
        order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
        if order is None or order[0] != 0:
            node.name = name_of(node)
            found.append(node.name)
    return found


def join(graph: onnx.GraphProto) -> None:
    """Let nodes in float32 read one another's results as they are: the converter rounds what each
    gives, also for the next that stays in float32.
    """
    import onnx

    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    widening, narrowing = (
        {
            node.output[0]: node
            for node in graph.node
            if node.op_type == "Cast"
            and any(a.name == "to" and a.i == kind for a in node.attribute)
        }
        for kind in kinds
    )
    for node in graph.node:
        for at, name in enumerate(node.input):
            wide = widening.get(name)
            narrow = narrowing.get(wide.input[0]) if wide is not None else None
            if narrow is not None:
                node.input[at] = narrow.input[0]
    finals = {v.name for v in graph.output}
    for casts in (widening, narrowing):
        read = {name for node in graph.node for name in names_read(node)} | finals
        for name, cast in casts.items():
            if name not in read:
                graph.node.remove(cast)


def refuse_overflow(model: Path, draft: Path, scratch: Path, probes: Sequence[Feeds]) -> None:
    """:class:`ToolError` when a tensor goes beyond float16's range where the fp32 model's is
    finite; ``scratch`` is a folder for copies of both.

    The outputs alone do not show it: ONNX Runtime's processor provider computes float16 files in
    float32. A tensor that is an output is rounded to float16, so for this every tensor is made one.
    """
    names, half = _open_whole(draft, scratch)
    for feeds in probes:
        values = zip(names, half.run(names, feeds), strict=True)
        beyond = [
            n
            for n, v in values
            if isinstance(v, np.ndarray) and v.dtype == np.float16 and not np.isfinite(v).all()
        ]
        if beyond:
            known, full = _open_whole(model, scratch)
            asked = [n for n in beyond if n in known]  # the others are casts of the converter's own
            finite = [
                n
                for n, v in zip(asked, full.run(asked, feeds), strict=True)
                if np.isfinite(v).all()
            ]
            if finite:
                raise ToolError(
                    f"float16 ends at 65504, and {len(finite)} tensors of '{model}' go beyond it,"
                    f" the first is '{finite[0]}': keep fp32, or make an int8 file"
                )


def _open_whole(model: Path, folder: Path) -> tuple[list[str], Any]:
    """The names of all tensors of a model, and a session whose outputs they all are."""
    import onnx

    proto = load_onnx(model)
    names = list(dict.fromkeys(name for node in proto.graph.node for name in node.output if name))
    outputs = {v.name for v in proto.graph.output}
    proto.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in names if name not in outputs
    )
    with tempfile.TemporaryDirectory(dir=folder) as own:
        copy = Path(own, "whole.onnx")
        save.save(proto, copy)
        return names, session_of(copy)


def sort(graph: onnx.GraphProto) -> None:
    """Put nodes after what they read, which the converter does not see to when it adds casts."""
    known = {i.name for i in graph.input} | {w.name for w in graph.initializer} | {""}
    made = {name for node in graph.node for name in node.output}
    waiting, done = list(graph.node), []
    while waiting:
        later = []
        for node in waiting:
            if all(name in known or name not in made for name in names_read(node)):
                done.append(node)
                known.update(node.output)
            else:
                later.append(node)
        if len(later) == len(waiting):
            raise ToolError("the converted graph is a circle; report this model")
        waiting = later
    del graph.node[:]
    graph.node.extend(done)
