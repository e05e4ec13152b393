"""PyTorch's TorchScript exporter, made quiet, and its failures made into sentences."""

from __future__ import annotations

import contextlib
import linecache
import os
import re
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy.typing as npt

from portproof.card import Card
from portproof.convert.export.symbolics import lowest_opset, own_symbolics
from portproof.core import progress
from portproof.core.errors import InputError, PortProofError, ToolError
from portproof.core.text import listed

if TYPE_CHECKING:
    from torch import nn

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Remark:
    """What the tracer could not record: where (file and line, and the line's text), why, and
    whether the code is the user's own or that of an installed package.
    """

    file: str
    line: int
    why: str
    installed: bool

    @property
    def place(self) -> str:
        """Such as ``det.py line 11: 'c = c - float(c.mean())'``."""
        text = linecache.getline(self.file, self.line).strip()
        return f"{os.path.basename(self.file)} line {self.line}" + (f": '{text}'" if text else "")

    @property
    def of_values(self) -> bool:
        """Whether a user's code took values out of tensors."""
        return not self.installed


#: Opsets that are tried, to name one, when the exporter fails at the one that was asked for.
OTHER_OPSETS = (13, 14, 16, 18)


def trace_or_advise(
    network: nn.Module,
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    path: Path,
    *,
    opset: int,
    dynamic: bool,
) -> tuple[Remark, ...]:
    """As :func:`trace`; a failure is tried again with a fixed batch, then at later opsets, so that
    the error can name what works.
    """
    try:
        return trace(network, feeds, outputs, path, opset=opset, dynamic=dynamic)
    except ToolError as error:
        later = [number for number in OTHER_OPSETS if number > opset]
        attempts = [(opset, False), *((number, dynamic) for number in later)]
        for number, free in attempts[0 if dynamic else 1 :]:
            try:
                trace(network, feeds, outputs, path, opset=number, dynamic=free)
            except PortProofError:
                continue
            what = f"--opset {number}" if number != opset else "a fixed batch: use --batch N"
            raise ToolError(f"{error}; it works with {what}", error.log_tail) from error
        raise


def trace(
    network: nn.Module,
    feeds: Mapping[str, Array],
    outputs: Sequence[str],
    path: Path,
    *,
    opset: int,
    dynamic: bool,
    free: Mapping[str, Mapping[int, str]] | None = None,
) -> tuple[Remark, ...]:
    """Trace a model on one batch (arrays by input name, in the order of its parameters) and write
    the ONNX file.

    ``dynamic`` makes the first dimension of every input and output a free one, named ``batch``;
    ``free`` says by name which dimensions are, with their names, in its place.
    Returns what the tracer warned of, each place once.
    :class:`InputError` names an operator that the opset lacks, and the lowest opset that has it;
    :class:`ToolError` for any other failure.
    """
    import torch

    axes = {name: {0: "batch"} for name in [*feeds, *outputs]} if dynamic else None
    if free is not None:
        axes = {name: dict(dimensions) for name, dimensions in free.items()}
    newer: dict[str, Any] = {"dynamo": False} if torch.__version__ >= "2.5" else {}
    with _quiet_exporter() as remarks, own_symbolics(opset):
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
    return tuple(dict.fromkeys(remarks))


def tell(remarks: Sequence[Remark]) -> None:
    """Pass the tracer's warnings on: one for each line of the user's own code, one for all of
    installed packages.
    """
    own: dict[tuple[str, int], Remark] = {(r.file, r.line): r for r in remarks if not r.installed}
    for remark in own.values():
        progress.warn(
            f"the tracer cannot follow {remark.place} ({remark.why}): the file keeps what it was"
            " for the traced sample"
        )
    others = [remark.place for remark in remarks if remark.installed]
    if others:
        progress.say(
            "export: code of installed packages takes values out of tensors, as a check of sizes"
            f" does ({listed(others, most=2)}); the probes try whether it matters"
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
def _quiet_exporter() -> Iterator[list[Remark]]:
    """Keep what the exporter says to itself, unless it fails; then its last words come with the
    error. What the tracer warns of is collected in the list.

    Its C++ part prints whole graphs past ``sys.stdout``: the file descriptors are pointed to a file
    too, for the whole process.
    """
    remarks: list[Remark] = []

    def keep(message: Any, category: Any, filename: str, lineno: int, *_: Any, **__: Any) -> None:
        print(message, file=printed)
        if category.__name__ == "TracerWarning":
            remarks.append(_remark(str(message), filename, lineno))

    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as printed:
        try:
            with (
                warnings.catch_warnings(),
                _descriptors_into(printed.fileno()),
                contextlib.redirect_stdout(printed),
                contextlib.redirect_stderr(printed),
            ):
                warnings.simplefilter("always")
                warnings.showwarning = keep
                yield remarks
        except PortProofError:
            raise
        except (
            Exception
        ) as error:  # tracing runs the model's code, and the exporter has no common base of errors
            printed.seek(0)
            _explain(error, printed.read())


def _remark(message: str, file: str, line: int) -> Remark:
    """The reason is the first sentence of the tracer's warning."""
    why = re.split(r" might cause |\. ", message, maxsplit=1)[0]
    folders = {os.path.realpath(folder) for folder in sysconfig.get_paths().values()}
    path = os.path.realpath(file)
    installed = any(path.startswith(folder + os.sep) for folder in folders)
    return Remark(path, line, why, installed)


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
