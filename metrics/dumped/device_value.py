"""One tensor of an Ascend dump, from the device's file or one that ``msaccucmp.py`` made of it.

A converted ``.npy`` file has the device's shape but does not say the layout; ``.bin`` and ``msnpy``
files have it in their names, and files converted with ``-f`` are in the model's order. bfloat16 is
written as float32.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError
from portproof.core.files import open_regular, read_file
from portproof.metrics.dumped.compiled_graph import Compiled
from portproof.metrics.dumped.debugger import load_array
from portproof.metrics.dumped.device_file import DeviceFile, Held, array_of, itemsize
from portproof.metrics.dumped.device_folder import Operator
from portproof.metrics.dumped.device_layout import UnknownLayoutError, in_model_order, looks_cut

_NEW_SHAPE = re.compile(r"\d+(x\d+)*")
_BINARY = re.compile(r"(?P<shape>(\d+(_\d+)*)?)\.(?P<dtype>[a-z0-9]+)\.(?P<layout>[A-Z0-9_]+)")
#: What the compiler puts between operators, for another layout or type.
_PUT_IN = {"TransData", "Cast", "TransDataRNN"}
_REMEDY = (
    "give the files as the device wrote them, or the compiled graph with --om-json (atc --mode=1"
    " --om=MODEL.om --json=FILE)"
)


@dataclass(frozen=True)
class Value:
    """What one operator read or gave, by its number; ``whole`` is the device's file, if it is one
    of that.
    """

    operator: Operator
    number: int
    held: Held
    file: Path
    whole: DeviceFile | None

    def digest(self) -> str:
        """The same for the output of one operator and the input of another that reads it."""
        content = self.whole.content(self.held) if self.whole else self._stored().tobytes()
        return hashlib.sha256(f"{self.held.dtype} ".encode() + content).hexdigest()

    def comparable(self) -> bool:
        """Whether it has numbers in the model's order. :class:`InputError` if a result of the model
        has not: what the compiler put in, and what is no float, has no counterpart to miss.
        """
        if not itemsize(self.held.dtype):
            return False
        try:
            self._in_order(np.broadcast_to(np.int8(0), self.held.shape))
        except UnknownLayoutError as error:
            if self.operator.type in _PUT_IN or "float" not in self.held.dtype:
                return False
            raise InputError(f"'{self.file}' holds a tensor {error}; {_REMEDY}") from error
        return True

    def load(self) -> Array:
        """Its values as the model has them; :class:`UnknownLayoutError` if that cannot be."""
        stored = self.whole.load(self.held) if self.whole else self._stored()
        return self._in_order(stored)

    def _in_order(self, values: Array) -> Array:
        held = self.held
        if not held.layout and looks_cut(held.shape):
            raise UnknownLayoutError(
                f"of the shape {held.shape}, which may be NC1HWC0 or FRACTAL_NZ, and nothing says"
                " its layout"
            )
        return in_model_order(values, held.layout or "ND", held.original, held.order)

    def _stored(self) -> Array:
        if self.file.suffix == ".npy":
            return load_array(self.file)
        data = read_file(self.file, "dump")
        dtype = self.held.dtype
        if dtype == "bfloat16" and len(data) == 4 * math.prod(self.held.shape):
            dtype = "float32"
        if len(data) != itemsize(dtype) * math.prod(self.held.shape):
            raise _damaged(self.file, f"{len(data)} bytes for the shape {self.held.shape}")
        return array_of(data, dtype).reshape(self.held.shape)


def values(
    operator: Operator, side: str, whole: DeviceFile | None, compiled: Compiled | None
) -> Iterator[Value]:
    """The tensors that an operator read (``side`` is ``input``) or gave (``output``)."""
    if whole is not None:
        tensors = whole.inputs if side == "input" else whole.outputs
        found = [(at, held, whole.path) for at, held in enumerate(tensors)]
    else:
        found = [
            (at, _converted(file, form), file)
            for (of, at), (file, form) in sorted(operator.parts.items())
            if of == side
        ]
    for at, held, file in found:
        if side == "output" and compiled and at < len(compiled.gives):
            given = compiled.gives[at]
            held = replace(
                held,
                layout=held.layout or given.layout,
                original=held.original or given.original,
                order=held.order or given.order,
                origin=held.origin or given.origin,
            )
        yield Value(operator, at, held, file, whole)


def _converted(file: Path, form: str) -> Held:
    """What the name of a converted file, ``form`` behind the number, and its head say."""
    form, _, kind = form.rpartition(".")
    if kind == "bin":
        known = _BINARY.fullmatch(form)
        if known is None:
            raise _damaged(file, "a name without shape, type and layout")
        shape = tuple(int(d) for d in known["shape"].split("_") if d)
        if not itemsize(known["dtype"]):
            raise _damaged(file, f"the type {known['dtype']}")
        return Held(known["dtype"], shape, known["layout"])
    shape, dtype = _head(file)
    return Held(dtype, shape, "ND" if _NEW_SHAPE.fullmatch(form) else form)


def _head(file: Path) -> tuple[tuple[int, ...], str]:
    """Shape and type of a ``.npy`` file."""
    try:
        with open_regular(file, "dump") as source:
            version = np.lib.format.read_magic(source)
            head = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                head = np.lib.format.read_array_header_2_0
            shape, _, dtype = head(source)
            there = os.fstat(source.fileno()).st_size - source.tell()
    except InputError:
        raise
    except Exception as error:  # numpy raises whatever a damaged file leads to
        raise _damaged(file, f"no head of a .npy file ({type(error).__name__})") from error
    if math.prod(shape) * dtype.itemsize > there:
        raise _damaged(file, f"{there} bytes for the shape {shape}")
    return tuple(int(d) for d in shape), str(dtype.newbyteorder("=").name)


def _damaged(file: Path, why: str) -> InputError:
    return InputError(
        f"'{file}' cannot be read as a converted dump ({why}): what msaccucmp.py convert writes"
        " with -t npy, msnpy or bin was expected; convert again"
    )
