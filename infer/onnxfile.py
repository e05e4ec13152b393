"""The header of an ONNX file, read without the ``onnx`` package, which device hosts need not have.

Source of the field numbers: ``onnx.proto`` of the ONNX project. Only what lies on the way to the facts wanted is decoded; tensor data is
skipped, so a file of gigabytes is read in milliseconds.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from portproof.errors import InputError
from portproof.files import existing_file

#: Message -> field number -> the message inside. Every tensor that a model can hold is reached by these.
_INSIDE = {
    "model": {7: "graph", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_FLOAT16, _INT8_OPS = (
    10,
    frozenset(
        {
            b"QuantizeLinear",
            b"DequantizeLinear",
            b"QLinearConv",
            b"QLinearMatMul",
            b"MatMulInteger",
            b"ConvInteger",
            b"DynamicQuantizeLinear",
        }
    ),
)
_DEEPEST = 64


@dataclass(slots=True)
class OnnxHeader:
    """Opset of the default domain, IR version, the file's own metadata, where tensors keep their data outside the file, whether tensors are
    float16, and whether operators are quantized.
    """

    opset: int | None = None
    ir_version: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    half: bool = False
    quantized: bool = False

    def refuse_outside_data(self, model: Path) -> None:
        """:class:`InputError` when a tensor's data is to be read from outside the model's own folder."""
        folder = model.resolve().parent
        for location in sorted(self.external):
            if os.path.isabs(location) or not (folder / location).resolve().is_relative_to(folder):
                raise InputError(
                    f"'{model}' wants to read weights from '{location}', outside its own folder; that is refused: keep them beside the model"
                )
            existing_file(folder / location, f"the external data of '{model}'")

    def files(self, model: Path) -> list[Path]:
        """The model file and the files of its external data, sorted."""
        return [model, *(model.resolve().parent / location for location in sorted(self.external))]


def read_header(model: Path) -> OnnxHeader:
    """Read the header; :class:`InputError` when the file is not ONNX (or is cut short)."""
    existing_file(model, "ONNX model")
    header = OnnxHeader()
    try:
        with open(model, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _walk(data, (0, len(data)), "model", header)
    except (ValueError, IndexError) as error:
        raise InputError(f"'{model}' is not an ONNX file, or is cut short; export it again") from error
    if header.ir_version is None:
        raise InputError(f"'{model}' is not an ONNX file: it has no IR version; export it again")
    return header


def _walk(data: mmap.mmap, span: tuple[int, int], message: str, header: OnnxHeader, depth: int = 0) -> None:
    if depth > _DEEPEST:
        raise ValueError("nested too deep")
    inside = _INSIDE.get(message, {})
    for number, value in _fields(data, *span):
        if isinstance(value, int):
            _note_number(message, number, value, header)
        elif inside.get(number) == "entry":
            key, text = (part.decode("utf-8", "surrogateescape") for part in _pair(data, *value))
            if message == "model":
                header.metadata[key] = text
            elif key == "location":
                header.external.add(text)
        elif number in inside:
            _walk(data, value, inside[number], header, depth + 1)
        elif message == "node" and number == 4:
            header.quantized |= data[value[0] : value[1]] in _INT8_OPS
        elif message == "model" and number == 8:
            domain, version = _opset(data, *value)
            if domain in (b"", b"ai.onnx"):
                header.opset = version


def _note_number(message: str, number: int, value: int, header: OnnxHeader) -> None:
    if message == "model" and number == 1:
        header.ir_version = value
    elif message == "tensor" and number == 2:
        header.half |= value == _FLOAT16


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, Any]]:
    """(field number, number or (start, end) of the bytes) of each field of a message."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(data, at)
            if at + length > end:
                raise ValueError("a field is longer than its message")
            yield number, (at, at + length)
            at += length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("not a protocol buffer")
    if at != end or start == end == 0:
        raise ValueError("the message is cut short")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _pair(data: mmap.mmap, start: int, end: int) -> tuple[bytes, bytes]:
    fields = {n: data[v[0] : v[1]] for n, v in _fields(data, start, end) if not isinstance(v, int)}
    return fields.get(1, b""), fields.get(2, b"")


def _opset(data: mmap.mmap, start: int, end: int) -> tuple[bytes, int | None]:
    domain, version = b"", None
    for number, value in _fields(data, start, end):
        if isinstance(value, int):
            version = value if number == 2 else version
        elif number == 1:
            domain = data[value[0] : value[1]]
    return domain, version
