"""The file that an Ascend device writes for an operator when ``acl.json`` asks for a dump.

The length of a header in 8 bytes, little-endian; the header, a protocol buffer ``DumpData``; the
bytes of all inputs, then of all outputs, as long as the header says. Sources:
``resource/dump_data.proto`` and ``python/msprobe/msaccucmp/dump_parse/big_dump_data.py`` in
https://github.com/Ascend/msprobe.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from portproof.backend import Array
from portproof.core.errors import InputError
from portproof.core.files import open_regular
from portproof.metrics.dumped import wire
from portproof.metrics.dumped.device_layout import LAYOUTS

#: A header describes tensors and holds none.
_LARGEST_HEADER = 64 << 20
#: A dimension that was not known when the model was made is -1 or -2, which is more than this here.
_LARGEST_SIZE = 1 << 40
#: Another format, of small devices, has this number where the header begins.
_TLV = struct.pack("<I", 0x5A5A5A5A)
#: numpy's types by their number in a header; bfloat16 is read as float32.
_TYPES = {
    1: "float32", 2: "float16", 3: "int8", 4: "uint8", 5: "int16", 6: "uint16", 7: "int32",
    8: "int64", 9: "uint32", 10: "uint64", 11: "bool", 12: "float64", 27: "bfloat16",
}  # fmt: skip
#: Numbers of fields in ``OpOutput`` and ``OpInput``.
_OUTPUT = {"type": 1, "format": 2, "shape": 3, "origin": 4, "size": 6, "original": 7}
_INPUT = {"type": 1, "format": 2, "shape": 3, "size": 5, "original": 6}


@dataclass(frozen=True)
class Held:
    """A tensor in a file. ``shape`` and ``layout`` are the device's, ``original`` and ``order`` the
    model's, empty where nothing says them; ``origin``: the node of the model and which of its
    outputs this is.
    """

    dtype: str
    shape: tuple[int, ...]
    layout: str
    original: tuple[int, ...] = ()
    order: str = ""
    origin: tuple[str, int] | None = None
    start: int = 0
    size: int = 0


@dataclass(frozen=True)
class DeviceFile:
    """What the header of a file says: ``inputs`` and ``outputs`` in their order."""

    path: Path
    inputs: tuple[Held, ...]
    outputs: tuple[Held, ...]

    def content(self, held: Held) -> bytes:
        """The bytes of one tensor, without what fills up its place."""
        each = itemsize(held.dtype)
        needed = math.prod(held.shape) * each if each else held.size
        with open_regular(self.path, "dump") as file:
            file.seek(held.start)
            data = file.read(needed)
        if len(data) != needed:
            raise InputError(f"'{self.path}' became shorter while it was read; copy the dump again")
        return data

    def load(self, held: Held) -> Array:
        """One tensor of a type that can be read, in the device's shape; bfloat16 as float32."""
        return array_of(self.content(held), held.dtype).reshape(held.shape)


def array_of(data: bytes, dtype: str) -> Array:
    """The numbers of a dump in one dimension; bfloat16 as float32."""
    array: Array = np.frombuffer(data, np.dtype(_stored(dtype)).newbyteorder("<"))
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == "bfloat16" else array


def itemsize(dtype: str) -> int:
    """Bytes of a number in a dump; 0 for a type that cannot be read."""
    return np.dtype(_stored(dtype)).itemsize if dtype in _TYPES.values() else 0


def _stored(dtype: str) -> str:
    return "uint16" if dtype == "bfloat16" else dtype


def read(path: Path) -> DeviceFile:
    """Read the header of a file; :class:`InputError` if it is none, or says more than is there."""
    try:
        with open_regular(path, "dump") as file:
            whole = os.fstat(file.fileno()).st_size
            header = _header(file, whole)
        inputs, outputs = list[Held](), list[Held]()
        for field, value in wire.fields(header):
            if field in (3, 4) and isinstance(value, bytes):
                known = _OUTPUT if field == 3 else _INPUT
                (outputs if field == 3 else inputs).append(_described(value, known))
            elif field == 7 and isinstance(value, bytes) and b'"threadMode"' in value:
                raise ValueError("slices of a thread (FFTS+) are not put together here")
        placed = _placed([*inputs, *outputs], 8 + len(header), whole)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{path}' cannot be read as the dump of an Ascend operator ({error}): the length of a"
            " header, the header DumpData and the tensors were expected; convert the folder with"
            " msaccucmp.py convert -t npy, or dump it again"
        ) from error
    return DeviceFile(path, tuple(placed[: len(inputs)]), tuple(placed[len(inputs) :]))


def _header(file: IO[bytes], whole: int) -> bytes:
    start = file.read(8)
    if len(start) < 8:
        raise ValueError("it has less than 8 bytes")
    length: int = struct.unpack("<Q", start)[0]
    if length > whole - 8 or length > _LARGEST_HEADER:
        raise ValueError(f"a header of {length} bytes, in a file of {whole}")
    header = file.read(length)
    if header[:4] == _TLV:
        raise ValueError("it is of the format for nano devices")
    if not header:
        raise ValueError("its header is empty")
    return header


def _described(data: bytes, known: dict[str, int]) -> Held:
    """A tensor by its ``OpOutput`` or ``OpInput``."""
    found: dict[int, int | bytes] = dict(wire.fields(data))

    def number(field: str) -> int:
        value = found.get(known[field], 0)
        if isinstance(value, bytes):
            raise ValueError(f"a {field} that is no number")
        return value

    kind, order, origin = number("type"), "", None
    if "origin" in known and isinstance(value := found.get(known["origin"]), bytes):
        origin, order = _origin(value)
    original = _shape(found.get(known["original"], b""))
    return Held(
        _TYPES.get(kind, f"number {kind}"),
        _shape(found.get(known["shape"], b"")),
        LAYOUTS.get(number("format"), f"number {number('format')}"),
        original if max(original, default=0) < _LARGEST_SIZE else (),
        order,
        origin,
        size=number("size"),
    )


def _shape(value: int | bytes) -> tuple[int, ...]:
    if isinstance(value, int):
        raise ValueError("a shape that is no message")
    dims = [n for field, part in wire.fields(value) if field == 1 for n in wire.numbers(part)]
    if len(dims) > 16:
        raise ValueError(f"a shape of {len(dims)} dimensions")
    return tuple(dims)


def _origin(data: bytes) -> tuple[tuple[str, int] | None, str]:
    """The node of the model that an output comes from, and the order of the model's shapes."""
    name, output, order = "", 0, 0
    for field, value in wire.fields(data):
        if field == 1 and isinstance(value, bytes):
            name = value.decode()
        elif field == 2 and isinstance(value, int):
            output = value
        elif field == 4 and isinstance(value, int):
            order = value
    return (name, output) if name else None, LAYOUTS.get(order, "")


def _placed(tensors: Sequence[Held], start: int, whole: int) -> list[Held]:
    """The tensors with where their bytes begin."""
    placed = []
    for held in tensors:
        if held.size > whole - start:
            raise ValueError(f"tensors up to byte {start + held.size}, in a file of {whole}")
        needed = math.prod(held.shape) * itemsize(held.dtype)
        if needed > held.size:
            raise ValueError(
                f"a tensor of {held.size} bytes, where the shape {held.shape} needs {needed}"
            )
        placed.append(replace(held, start=start))
        start += held.size
    return placed
