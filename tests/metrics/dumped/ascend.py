"""Dumps as an Ascend device writes them, and as ``msaccucmp.py convert`` changes them.

The messages are those of ``resource/dump_data.proto`` in https://github.com/Ascend/msprobe, written
by Google's protocol buffers, which the product does not use to read them; names of files follow
https://www.hiascend.com/document/detail/en/mindstudio/600/msug/msug_000167.html.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from portproof.backend import Array
from portproof.metrics.dumped.kinds import open_side

FIELD = descriptor_pb2.FieldDescriptorProto
DT = {"float32": 1, "float16": 2, "int8": 3, "uint8": 4, "int32": 7, "int64": 8, "float64": 12}
FORMATS = {"NCHW": 0, "NHWC": 1, "ND": 2, "NC1HWC0": 3, "FRACTAL_Z": 4, "FRACTAL_NZ": 29}
#: Field names, numbers, types and messages; enumerations have the wire form of int32.
MESSAGES: dict[str, list[tuple[str, int, int, str]]] = {
    "OriginalOp": [
        ("name", 1, FIELD.TYPE_STRING, ""),
        ("output_index", 2, FIELD.TYPE_UINT32, ""),
        ("data_type", 3, FIELD.TYPE_INT32, ""),
        ("format", 4, FIELD.TYPE_INT32, ""),
    ],
    "Shape": [("dim", 1, FIELD.TYPE_UINT64, "repeated")],
    "OpOutput": [
        ("data_type", 1, FIELD.TYPE_INT32, ""),
        ("format", 2, FIELD.TYPE_INT32, ""),
        ("shape", 3, FIELD.TYPE_MESSAGE, "Shape"),
        ("original_op", 4, FIELD.TYPE_MESSAGE, "OriginalOp"),
        ("data", 5, FIELD.TYPE_BYTES, ""),
        ("size", 6, FIELD.TYPE_UINT64, ""),
        ("original_shape", 7, FIELD.TYPE_MESSAGE, "Shape"),
        ("sub_format", 8, FIELD.TYPE_INT32, ""),
        ("address", 9, FIELD.TYPE_UINT64, ""),
    ],
    "OpInput": [
        ("data_type", 1, FIELD.TYPE_INT32, ""),
        ("format", 2, FIELD.TYPE_INT32, ""),
        ("shape", 3, FIELD.TYPE_MESSAGE, "Shape"),
        ("data", 4, FIELD.TYPE_BYTES, ""),
        ("size", 5, FIELD.TYPE_UINT64, ""),
        ("original_shape", 6, FIELD.TYPE_MESSAGE, "Shape"),
        ("sub_format", 7, FIELD.TYPE_INT32, ""),
        ("address", 8, FIELD.TYPE_UINT64, ""),
    ],
    "OpAttr": [("name", 1, FIELD.TYPE_STRING, ""), ("value", 2, FIELD.TYPE_STRING, "")],
    "DumpData": [
        ("version", 1, FIELD.TYPE_STRING, ""),
        ("dump_time", 2, FIELD.TYPE_UINT64, ""),
        ("output", 3, FIELD.TYPE_MESSAGE, "repeated OpOutput"),
        ("input", 4, FIELD.TYPE_MESSAGE, "repeated OpInput"),
        ("op_name", 6, FIELD.TYPE_STRING, ""),
        ("attr", 7, FIELD.TYPE_MESSAGE, "repeated OpAttr"),
    ],
}


def _dump_data() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="dump_data.proto", package="toolkit.dumpdata", syntax="proto3"
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for word, number, kind, of in fields:
            repeated, inner = of.startswith("repeated"), of.removeprefix("repeated").strip()
            entry = message.field.add(name=word, number=number, type=kind)
            entry.label = FIELD.LABEL_REPEATED if repeated else FIELD.LABEL_OPTIONAL
            if kind == FIELD.TYPE_MESSAGE:
                entry.type_name = f".toolkit.dumpdata.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("toolkit.dumpdata.DumpData"))


DumpData = _dump_data()


@dataclass
class Part:
    """A tensor: its values in the device's layout, and what a header says of them."""

    values: Array
    layout: str = "ND"
    original: Sequence[int] = ()
    origin: tuple[str, int, str] | None = None
    dtype: int | None = None


@dataclass
class Op:
    """An operator with what it read and gave."""

    type: str
    name: str
    inputs: list[Part] = field(default_factory=list)
    outputs: list[Part] = field(default_factory=list)
    made_of: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def five_hd(values: Array, c0: int = 16) -> Array:
    """NCHW as NC1HWC0: value by value, channel c stands in group c // C0 at c % C0."""
    n, c, h, w = values.shape
    cut = np.zeros((n, -(-c // c0), h, w, c0), values.dtype)
    for channel in range(c):
        cut[:, channel // c0, :, :, channel % c0] = values[:, channel]
    return cut


def fractal_nz(values: Array) -> Array:
    """Matrices as FRACTAL_NZ: row r, column k is in block (k // 16, r // 16)."""
    *lead, rows, columns = values.shape
    cut = np.zeros((*lead, -(-columns // 16), -(-rows // 16), 16, 16), values.dtype)
    for r in range(rows):
        for k in range(columns):
            cut[..., k // 16, r // 16, r % 16, k % 16] = values[..., r, k]
    return cut


def file_name(op: Op, at: int) -> str:
    plain = re.sub(r"[/.\\ ]", "_", op.name)
    return f"{op.type}.{plain}.{at + 2}.5.{1700000000000000 + 37 * at}"


def raw(op: Op, attr: str = "") -> bytes:
    """The file of an operator: length, header, inputs, outputs; sizes are filled up to 32 bytes."""
    message, data = DumpData(version="2.0", dump_time=17, op_name=op.name), b""
    for side in ("input", "output"):
        for part in op.inputs if side == "input" else op.outputs:
            entry = getattr(message, side).add()
            content = part.values.tobytes()
            content += b"\xab" * (-len(content) % 32)
            entry.data_type = part.dtype or DT[part.values.dtype.name]
            entry.format = FORMATS[part.layout]
            entry.shape.dim.extend(part.values.shape)
            entry.original_shape.dim.extend(part.original)
            entry.size, entry.address = len(content), 0x1234_0000_0000
            if side == "output" and part.origin:
                name, output, order = part.origin
                entry.original_op.name, entry.original_op.output_index = name, output
                entry.original_op.data_type, entry.original_op.format = 1, FORMATS[order]
            data += content
    if attr:
        message.attr.add(name="a", value=attr)
    header = message.SerializeToString()
    return struct.pack("<Q", len(header)) + header + data


def write(folder: Path, ops: Sequence[Op], form: str = "raw") -> Path:
    """The files of one inference: ``raw``, or what ``-t npy``, ``bin`` or ``msnpy`` makes of them,
    or ``-f NCHW`` (``new``).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for at, op in enumerate(ops):
        name = file_name(op, at)
        if form == "raw":
            (folder / name).write_bytes(raw(op))
            continue
        for side, parts in (("input", op.inputs), ("output", op.outputs)):
            for number, part in enumerate(parts):
                _convert(folder, f"{name}.{side}.{number}", part, form)
    return folder


def _convert(folder: Path, stem: str, part: Part, form: str) -> None:
    values = part.values
    if form == "new":
        values = np.asarray(values if part.layout in ("ND", "NCHW") else back(part))
        np.save(folder / f"{stem}.{'x'.join(map(str, values.shape))}.npy", values)
    elif form == "npy":
        np.save(folder / f"{stem}.npy", values)
    elif form == "msnpy":
        np.save(folder / f"{stem}.{part.layout}.npy", values)
    else:
        shape = "_".join(map(str, values.shape))
        values.tofile(folder / f"{stem}.{shape}.{values.dtype.name}.{part.layout}.bin")


def back(part: Part) -> Array:
    """What the values were before they were cut."""
    found = np.zeros(part.original, part.values.dtype)
    if part.layout == "NC1HWC0":
        for channel in range(part.original[1]):
            found[:, channel] = part.values[:, channel // 16, :, :, channel % 16]
        return found
    for r in range(part.original[-2]):
        for k in range(part.original[-1]):
            found[..., r, k] = part.values[..., k // 16, r // 16, r % 16, k % 16]
    return found


def om_json(path: Path, ops: Sequence[Op]) -> Path:
    """The compiled graph as ``atc --mode=1`` writes it, as far as a dump needs it."""
    entries: list[dict[str, Any]] = [{"name": "image", "type": "Data", "output_desc": [{}]}]
    for op in ops:
        names = {"list": {"s": list(op.made_of)} if op.made_of else {}}
        entries.append(
            {
                "name": op.name,
                "type": op.type,
                "input": [*(f"{name}:0" for name in op.reads), "control:-1"],
                "attr": [{"key": "_datadump_original_op_names", "value": names}],
                "output_desc": [_output_desc(part) for part in op.outputs],
            }
        )
    entries.append({"name": "Node_Output", "type": "NetOutput", "input": [f"{ops[-1].name}:0"]})
    path.write_text(json.dumps({"name": "net", "graph": [{"name": "net", "op": entries}]}))
    return path


def _output_desc(part: Part) -> dict[str, Any]:
    attributes: list[dict[str, Any]] = [
        {"key": "origin_shape", "value": {"list": {"i": list(part.original)}}},
        {"key": "origin_format", "value": {"s": "NCHW" if len(part.original) == 4 else "ND"}},
    ]
    if part.origin:
        name, output, _ = part.origin
        attributes += [
            {"key": "_datadump_origin_name", "value": {"s": name}},
            {"key": "_datadump_origin_output_index", "value": {"i": output}},
        ]
    return {"layout": part.layout, "dtype": "DT_FLOAT16", "attr": attributes}


def compiled(
    model: Path,
    sample: Array,
    inputs: bool = True,
    origins: bool = True,
    computed: Path | None = None,
) -> list[Op]:
    """The operators that a compiler makes of a network and what they hold for one sample: in half
    precision, convolutions with their ReLU in NC1HWC0, behind a TransData. ``computed``: a file of
    the same tensors whose values they hold instead.
    """
    side = open_side(computed or model, None)
    nodes = list(onnx.load(model).graph.node)
    names = [t.name for t in side.tensors]
    values = dict(zip(names, side.opened(names)(0, {"image": sample[None]}), strict=True))
    values["image"] = sample[None]
    half = {n: v.astype(np.float16) for n, v in values.items() if v is not None}

    def held(name: str, node: str = "") -> Part:
        array = half[name]
        origin = (node, 0, "NCHW") if node and origins else None
        layout = {4: "NC1HWC0", 2: "FRACTAL_NZ"}[array.ndim]
        cut = five_hd(array) if array.ndim == 4 else fractal_nz(array)
        return Part(cut, layout, array.shape, origin)

    first = Part(half["image"], "NCHW", half["image"].shape)
    ops = [Op("TransData", "trans_TransData_0", [first], [held("image")], (), ("image",))]
    giver = {"image": ops[0].name}
    while nodes:
        chain = [nodes.pop(0)]
        following = [n for n in nodes if chain[0].output[0] in n.input]
        if chain[0].op_type in ("Conv", "Add") and [n.op_type for n in following] == ["Relu"]:
            nodes.remove(following[0])
            chain.append(following[0])
        read = [name for name in chain[0].input if name in half]
        name, gives = "".join(n.name for n in chain), chain[-1].output[0]
        kind = {"Conv": "Conv2D", "Gemm": "MatMulV2"}.get(chain[0].op_type, chain[0].op_type)
        ops.append(
            Op(
                kind,
                name,
                [held(n) for n in read],
                [held(gives, chain[-1].name)],
                tuple(n.name for n in chain),
                tuple(giver[n] for n in read),
            )
        )
        giver[gives] = name
    if not inputs:
        for op in ops:
            op.inputs = []
    return ops
