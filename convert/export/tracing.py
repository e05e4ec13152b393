"""PyTorch's TorchScript exporter, made quiet, and its failures made into sentences."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy.typing as npt

from portproof.card import Card
from portproof.convert.export.symbolics import later_symbolics, lowest_opset
from portproof.core.errors import InputError, PortProofError, ToolError

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]


def trace(
    network: nn.Module,
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    path: Path,
    *,
    opset: int,
    dynamic: bool,
) -> None:
    """Trace a model on one batch (arrays by input name, in the order of its parameters) and write
    the ONNX file.

    ``dynamic`` makes the first dimension of every input and output a free one, named ``batch``.
    :class:`InputError` names an operator that the opset lacks, and the lowest opset that has it;
    :class:`ToolError` for any other failure.
    """
    import torch

    axes = {name: {0: "batch"} for name in [*feeds, *outputs]} if dynamic else None
    newer: dict[str, Any] = {"dynamo": False} if torch.__version__ >= "2.5" else {}
    with _quiet_exporter(), later_symbolics(opset):
        torch.onnx.export(
            network,
            tuple(torch.from_numpy(values) for values in feeds.values()),
            str(path),
            opset_version=opset,
            input_names=list(feeds),
            output_names=list(outputs),
            dynamic_axes=axes,
            **newer,
        )


def check_outputs(outputs: Sequence[Array], card: Card) -> None:
    """Refuse a model whose outputs are not, in number and shape, those that its card states."""
    if len(outputs) != len(card.outputs):
        raise InputError(
            f"model card '{card.name}' has {len(card.outputs)} outputs, the model gives"
            f" {len(outputs)}: correct the card's 'outputs'"
        )
    for array, spec in zip(outputs, card.outputs, strict=True):
        if spec.shape is not None and tuple(spec.shape) != array.shape[1:]:
            raise InputError(
                f"model card '{card.name}': output '{spec.name}' has the shape {tuple(spec.shape)}"
                f" there, the model gives {array.shape[1:]}"
            )


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep what the exporter says to itself, unless it fails; then its last words come with the
    error.

    Its C++ part prints whole graphs past ``sys.stdout``: the file descriptors are pointed to a file
    too, for the whole process.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        try:
            with (
                warnings.catch_warnings(),
                _descriptors_into(printed.fileno()),
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
            ):
                warnings.showwarning = lambda message, *_: print(message, file=printed)
                yield
        except PortProofError:
            raise
        except (
            Exception
        ) as error:  # tracing runs the model's code, and the exporter has no common base of errors
            printed.seek(0)
            _explain(error, printed.read())


@contextlib.contextmanager
def _descriptors_into(file: int) -> Iterator[None]:
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    try:
        for number in kept:
            os.dup2(file, number)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)


def _explain(error: Exception, printed: str) -> NoReturn:
    match = re.search(r"operator '([^']+)' to ONNX opset version (\d+)", str(error))
    if match:
        operator, opset = match.groups()
        lowest = lowest_opset(operator)
        known = lowest is not None and lowest > int(opset)
        remedy = (
            f"--opset {lowest} is the lowest that does"
            if known
            else "no opset that the exporter writes does; replace it in the model"
        )
        raise InputError(
            f"the model uses the operator {operator}, which ONNX opset {opset} cannot express:"
            f" {remedy}"
        ) from error
    reason = str(error).strip().split("\n", 1)[0]
    raise ToolError(
        f"PyTorch's exporter failed ({type(error).__name__}: {reason})", log_tail=printed[-4000:]
    ) from error
