"""Operators that PyTorch's exporter maps to ONNX only from a later opset on, or for a fixed batch,
though a mapping exists that is valid at earlier ones and for any batch.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

ATTENTION = "aten::scaled_dot_product_attention"
INSTANCE_NORM = "aten::instance_norm"
TRIANGLES, TRIANGLES_FROM = ("aten::tril", "aten::triu"), 14
#: ATen operator -> the opset whose symbolic serves earlier ones. The ONNX operators that those
#: symbolics emit (Shape, Slice, Concat, Reshape, Mod; MatMul, Softmax on the last axis, Mul, Add,
#: Where, Transpose) mean the same from opset 11 on.
LATER = {"aten::unflatten": 13, ATTENTION: 14}
EARLIEST = 11


@contextlib.contextmanager
def own_symbolics(opset: int) -> Iterator[None]:
    """Inside the block the exporter uses PyTorch's own symbolics of :data:`LATER` at an earlier
    opset too, from 11 on, and ours for causal attention, for triangles (tril, triu) and for
    instance norm with running statistics.

    What the user's code registered for such an operator is left as it is.
    """
    utils = _exporter_module("utils")
    wanted = {
        operator: _symbolic(operator, introduced)
        for operator, introduced in LATER.items()
        if EARLIEST <= opset < introduced and not _registry().is_registered_op(operator, opset)
    }
    for operator in TRIANGLES if EARLIEST <= opset < TRIANGLES_FROM else ():
        if not _registry().is_registered_op(operator, opset):
            wanted[operator] = _triangle(lower=operator.endswith("tril"))
    if _is_pytorchs_own(INSTANCE_NORM, opset):
        wanted[INSTANCE_NORM] = _instance_norm()
    for operator, symbolic in wanted.items():
        utils.register_custom_op_symbolic(operator, symbolic, opset)
    try:
        yield
    finally:
        for operator in wanted:
            utils.unregister_custom_op_symbolic(operator, opset)


def _symbolic(operator: str, introduced: int) -> Any:
    module = _exporter_module(f"symbolic_opset{introduced}")
    symbolic = getattr(module, operator.removeprefix("aten::"))
    return _causal(symbolic) if operator == ATTENTION else symbolic


def _is_pytorchs_own(operator: str, opset: int) -> bool:
    group = _registry().get_function_group(operator)
    symbolic = group.get(opset) if group is not None else None
    return str(getattr(symbolic, "__module__", "")).startswith("torch.onnx.")


def _positions(g: Any, tensor: Any, dimension: int) -> Any:
    """0, 1, 2, ... along a dimension."""
    length = g.op("Gather", g.op("Shape", tensor), _constant(g, dimension), axis_i=0)
    return g.op("Range", _constant(g, 0), length, _constant(g, 1))


def _constant(g: Any, content: Any) -> Any:
    import torch

    return g.op("Constant", value_t=torch.as_tensor(content))


def _causal(symbolic: Any) -> Any:
    """PyTorch's symbolic of attention, with the causal mask (-inf above the diagonal) made of
    operators of opset 11; its own needs Trilu, of opset 14.
    """
    helper = _exporter_module("symbolic_helper")

    def attention(g: Any, query: Any, key: Any, *given: Any) -> Any:
        value, mask, dropout, causal, *rest = given
        if helper._maybe_get_const(causal, "b") is True:
            rows = helper._unsqueeze_helper(g, _positions(g, query, -2), [1])
            later = g.op("Less", rows, _positions(g, key, -2))
            chosen = g.op("Where", later, _constant(g, -float("inf")), _constant(g, 0.0))
            # The cast tells the exporter the type; it cannot infer that of Where here.
            mask, causal = g.op("Cast", chosen, to_i=1), _constant(g, False)
        return symbolic(g, query, key, value, mask, dropout, causal, *rest)

    return attention


def _triangle(lower: bool) -> Any:
    """``torch.tril`` and ``torch.triu``, for which ONNX has Trilu from opset 14 on."""
    import torch

    helper, types = _exporter_module("symbolic_helper"), _exporter_module("_type_utils")

    def triangle(g: Any, x: Any, diagonal: Any) -> Any:
        kind = types.JitScalarType.from_value(x)
        rows = helper._unsqueeze_helper(g, _positions(g, x, -2), [1])
        rows = g.op("Add", rows, diagonal)
        rows = g.op("Add", rows, _constant(g, 1)) if lower else rows
        below = g.op("Less", _positions(g, x, -1), rows)
        zero = _constant(g, torch.zeros((), dtype=kind.dtype()))
        chosen = g.op("Where", below, x, zero) if lower else g.op("Where", below, zero, x)
        return g.op("Cast", chosen, to_i=kind.onnx_type())

    return triangle


def _instance_norm() -> Any:
    """Instance norm by running statistics is batch norm by them: no statistic of the sample enters.
    PyTorch's own symbolic folds the batch into the channels, for which it must be fixed.
    """
    import torch

    helper, own = _exporter_module("symbolic_helper"), _exporter_module("symbolic_opset9")

    def instance_norm(g: Any, x: Any, *given: Any) -> Any:
        weight, bias, mean, var, of_input, _momentum, epsilon, _cudnn = given
        channels = None if helper._is_none(mean) else helper._get_tensor_sizes(mean)
        if helper._maybe_get_const(of_input, "b") is not False or not channels:
            return own.instance_norm(g, x, *given)
        one, zero = (
            own_value
            if not helper._is_none(own_value)
            else g.op("Constant", value_t=make(channels[0]))
            for own_value, make in ((weight, torch.ones), (bias, torch.zeros))
        )
        epsilon = helper._maybe_get_const(epsilon, "f")
        return g.op("BatchNormalization", x, one, zero, mean, var, epsilon_f=epsilon)

    return instance_norm


def lowest_opset(operator: str) -> int | None:
    """The first opset at which the exporter knows an ATen operator, or None."""
    group = _registry().get_function_group(operator)
    return None if group is None else int(group.get_min_supported())


def _registry() -> Any:
    return _exporter_module("registration").registry


def _exporter_module(name: str) -> Any:
    """A module of the TorchScript exporter, which PyTorch has moved: ``torch.onnx`` (to 2.8) and
    ``torch.onnx._internal`` before.
    """
    for package in (
        "torch.onnx._internal.torchscript_exporter",
        "torch.onnx._internal",
        "torch.onnx",
    ):
        with contextlib.suppress(ModuleNotFoundError):
            return importlib.import_module(f"{package}.{name}")
    raise ModuleNotFoundError(
        f"this PyTorch has no module '{name}' of the TorchScript ONNX exporter"
    )
