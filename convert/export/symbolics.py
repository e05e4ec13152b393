"""Operators that PyTorch's exporter maps to ONNX only from a later opset on, though the mapping it
has is valid at earlier ones too.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

#: ATen operator -> the opset whose symbolic serves earlier ones. The ONNX operators that those
#: symbolics emit (Shape, Slice, Concat, Reshape, Mod; MatMul, Softmax on the last axis, Mul, Add,
#: Where, Transpose) mean the same from opset 11 on.
LATER = {"aten::unflatten": 13, "aten::scaled_dot_product_attention": 14}
EARLIEST = 11


@contextlib.contextmanager
def later_symbolics(opset: int) -> Iterator[None]:
    """Inside the block the exporter uses PyTorch's own symbolics of :data:`LATER` at an earlier
    opset too, from 11 on.

    What the user's code registered for such an operator is left as it is.
    """
    utils = _exporter_module("utils")
    added = []
    for operator, introduced in LATER.items():
        if EARLIEST <= opset < introduced and not _registry().is_registered_op(operator, opset):
            symbolic = getattr(
                _exporter_module(f"symbolic_opset{introduced}"), operator.removeprefix("aten::")
            )
            utils.register_custom_op_symbolic(operator, symbolic, opset)
            added.append(operator)
    try:
        yield
    finally:
        for operator in added:
            utils.unregister_custom_op_symbolic(operator, opset)


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
