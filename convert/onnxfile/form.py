"""The form of an ONNX file: valid, of the asked opset, of no foreign domain, and simpler where that
is wanted.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from portproof.convert.onnxfile.read import DEFAULT_DOMAIN, graphs_in, nodes_of, read_onnx
from portproof.core.errors import InputError, ToolError

if TYPE_CHECKING:
    import onnx


def check_form(path: Path, opset: int) -> None:
    """Run ONNX's checker, and verify the opset and that no other domain is used."""
    import onnx

    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the checker raises several unrelated types
        if "bfloat16" in str(error):
            raise InputError(
                "the model computes in bfloat16, which ONNX opset"
                f" {opset} does not have for all its operators: leave autocast out, or call"
                " model.float() in its builder"
            ) from error
        raise ToolError(
            f"ONNX's checker refuses the exported model: {str(error).splitlines()[0]}",
            log_tail=str(error),
        ) from error
    opsets, expected = read_onnx(path).opsets, {DEFAULT_DOMAIN: opset}
    if opsets != expected:
        raise ToolError(
            f"the exported model imports {opsets}, {expected} was expected; another --opset may do"
        )


def drop_unused_domains(model: onnx.ModelProto) -> None:
    """Remove opset imports of domains that no node uses; some converters refuse a file for them."""
    used = {"", DEFAULT_DOMAIN, *(node.domain for node in nodes_of(model))}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def names_read(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, in its subgraphs too."""
    yield from node.input
    for graph in graphs_in(node):
        for inner in graph.node:
            yield from names_read(inner)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the advice that converters log or print for people who call them by hand."""
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model after onnxslim (constants folded, shape arithmetic removed), with the same inputs
    and outputs.
    """
    import onnxslim

    try:
        slim: onnx.ModelProto = onnxslim.slim(model)
    except Exception as error:  # a third-party optimiser may fail in any way
        raise ToolError(
            f"onnxslim failed on the exported model ({type(error).__name__}: {error}); use"
            " --no-simplify"
        ) from error
    before, after = _interface(model), _interface(slim)
    if [entry[:2] for entry in after] != [entry[:2] for entry in before]:
        raise ToolError(
            f"onnxslim changed the model's inputs or outputs from {before} to {after}; use"
            " --no-simplify"
        )
    _keep_batch(model, slim)
    return slim


def _keep_batch(model: onnx.ModelProto, slim: onnx.ModelProto) -> None:
    """Give every dimension of inputs and outputs that has a number, and every batch, what it had;
    a dimension that the exporter only named, and whose number onnxslim found, keeps the number.

    Whether the graph computes for any batch is shown by running it, not by what its outputs say.
    """
    pairs = zip(
        [*model.graph.input, *model.graph.output],
        [*slim.graph.input, *slim.graph.output],
        strict=True,
    )
    for old, new in pairs:
        were, now = old.type.tensor_type.shape.dim, new.type.tensor_type.shape.dim
        if len(were) != len(now):
            new.type.CopyFrom(old.type)
            continue
        for index, (a, b) in enumerate(zip(were, now, strict=True)):
            if index == 0 or a.dim_value or not b.dim_value:
                b.CopyFrom(a)


def _interface(model: onnx.ModelProto) -> list[tuple[str, int, tuple[str, ...]]]:
    return [
        (
            value.name,
            value.type.tensor_type.elem_type,
            tuple(d.dim_param or str(d.dim_value) for d in value.type.tensor_type.shape.dim),
        )
        for value in [*model.graph.input, *model.graph.output]
    ]
