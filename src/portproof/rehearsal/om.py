"""The ``.om`` file of a rehearsal: the ONNX file in a wrapper, which the simulated tools execute
with ONNX Runtime.

Layout: :data:`MAGIC`, the length of the header (4 bytes, little-endian), the header (JSON,
:class:`Header`), the ONNX file.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from portproof.core.files import write_bytes
from portproof.rehearsal import MARK
from portproof.rehearsal.aipp import Aipp

MAGIC = b"PORTPROOF-REHEARSAL-OM\n"
Kind = Literal["static", "batch", "hw", "dims", "shape"]
_DTYPES = {"float": "float32", "double": "float64"}


class OmTensor(msgspec.Struct):
    """An input or output: its name in the ``.om``, in the ONNX file, its numpy dtype, and its shape
    with -1 where it is dynamic.
    """

    name: str
    onnx: str
    dtype: str
    shape: list[int]


class Header(msgspec.Struct):
    """What the simulated runtime knows of a model.

    ``kind`` says what can be chosen at run time, ``gears`` what there is to choose from: batch
    sizes ``[n]``, image sizes ``[h, w]``, or the dimensions of all inputs one after the other.
    ``largest``: the inputs' shapes at the largest gear. ``aipp`` is applied to the first input.
    """

    soc_version: str
    kind: Kind
    gears: list[list[int]]
    inputs: list[OmTensor]
    outputs: list[OmTensor]
    largest: list[list[int]]
    half: bool
    aipp: Aipp | None = None
    mark: str = MARK


class NotAnOm(ValueError):
    """The file was not written by the rehearsal."""


def write_om(
    onnx_file: Path,
    out: Path,
    soc_version: str,
    shapes: Mapping[str, Sequence[int]],
    *,
    kind: Kind = "static",
    gears: Sequence[Sequence[int]] = (),
    half: bool = True,
    output_half: bool = False,
    aipp: Aipp | None = None,
) -> None:
    """Wrap an ONNX file. ``shapes``: each input's shape as atc is given it, -1 where dynamic.
    ``half``: inputs and outputs are rounded to float16 on the way, as a chip that computes in it
    does. ``output_half``: float outputs come as float16 (``--output_type=FP16``).

    ``aipp`` makes the first input uint8 NHWC. Raises :class:`ValueError` when ONNX Runtime cannot
    run the model with these shapes, or AIPP does not make what the model takes.
    """
    import onnx

    model = onnx.load(str(onnx_file))
    data = model.SerializeToString()
    session = _session(data)
    given = {i.name: list(shapes.get(i.name, i.shape)) for i in session.get_inputs()}
    largest = [list(s) for s in _at_gear(list(given.values()), kind, _largest(gears))]
    inputs = [OmTensor(i.name, i.name, _dtype(i.type), given[i.name]) for i in session.get_inputs()]
    try:
        zeros = {
            t.name: np.zeros([max(d, 1) for d in shape], t.dtype)
            for t, shape in zip(inputs, largest, strict=True)
        }
        results: list[Any] = session.run(None, zeros)
    except Exception as error:  # ONNX Runtime's own exceptions have no common class
        raise ValueError(" ".join(str(error).split())[:300]) from error
    names = _output_names(model)
    outputs = []
    for node, result in zip(session.get_outputs(), results, strict=True):
        dtype = "float16" if output_half and result.dtype.kind == "f" else result.dtype.name
        shape = (
            [d if isinstance(d, int) else -1 for d in node.shape]
            if kind == "shape"
            else list(result.shape)
        )
        outputs.append(OmTensor(names.get(node.name, node.name), node.name, dtype, shape))
    if aipp:
        _put_before(aipp, inputs[0], largest[0])
    header = Header(
        soc_version, kind, [list(g) for g in gears], inputs, outputs, largest, half, aipp
    )
    encoded = msgspec.json.encode(header)
    write_bytes(out, MAGIC + struct.pack("<I", len(encoded)) + encoded + data)


def _put_before(aipp: Aipp, image: OmTensor, largest: list[int]) -> None:
    """The image input as AIPP takes it."""
    if len(image.shape) != 4 or tuple(image.shape[1:]) != (3, *aipp.size):
        raise ValueError(
            f"AIPP makes 3 x {aipp.size[0]} x {aipp.size[1]}, input {image.name} has the shape"
            f" {image.shape}"
        )
    image.dtype, image.shape = "uint8", [image.shape[0], *aipp.source, 3]
    largest[1:] = [*aipp.source, 3]


def read_om(path: Path) -> tuple[Header, bytes]:
    """Header and ONNX bytes; :class:`NotAnOm` for another file, :class:`OSError` if unreadable."""
    data = path.read_bytes()
    start = len(MAGIC) + 4
    if not data.startswith(MAGIC) or len(data) < start:
        raise NotAnOm(str(path))
    (length,) = struct.unpack("<I", data[len(MAGIC) : start])
    try:
        return (
            msgspec.json.decode(data[start : start + length], type=Header),
            data[start + length :],
        )
    except msgspec.DecodeError as error:
        raise NotAnOm(str(path)) from error


def _at_gear(shapes: Sequence[Sequence[int]], kind: Kind, gear: Sequence[int]) -> list[list[int]]:
    """The inputs' shapes with the dynamic dimensions of a gear filled in, in their order."""
    if kind in ("dims", "shape") and gear:
        rest = list(gear)
        return [[rest.pop(0) for _ in shape] for shape in shapes]
    if not gear:
        return [list(s) for s in shapes]
    filled = []
    for shape in shapes:
        numbers = iter(gear)
        filled.append([next(numbers) if d == -1 else d for d in shape])
    return filled


def _largest(gears: Sequence[Sequence[int]]) -> Sequence[int]:
    return max(gears, key=lambda g: int(np.prod(g)), default=())


def at_gear(header: Header, gear: Sequence[int]) -> list[list[int]]:
    """The shapes of all inputs at a gear."""
    return _at_gear([t.shape for t in header.inputs], header.kind, gear)


def _output_names(model: Any) -> dict[str, str]:
    """ONNX output -> its name in an ``.om``: ``<node>:<output number>:<tensor>``."""
    found = {}
    for index, node in enumerate(model.graph.node):
        for number, tensor in enumerate(node.output):
            found[tensor] = f"{node.name or f'{node.op_type}_{index}'}:{number}:{tensor}"
    return found


def _dtype(onnx_type: str) -> str:
    name = onnx_type.removeprefix("tensor(").removesuffix(")")
    return _DTYPES.get(name, name)


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    # Nothing is measured here, and threads that spin take the processors from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


class Executable:
    """A model made ready to run, and the faults that executing it can have."""

    def __init__(self, header: Header, onnx_bytes: bytes) -> None:
        self.header = header
        self._onnx_bytes = onnx_bytes
        self._session: Any = None

    def execute(self, arrays: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Run once; arrays in the order of the inputs, results in the order of the outputs."""
        self._session = self._session or _session(self._onnx_bytes)
        half = self.header.half
        if self.header.aipp:
            arrays = [self.header.aipp.apply(arrays[0]), *arrays[1:]]
        feeds = {t.onnx: _rounded(a, half) for t, a in zip(self.header.inputs, arrays, strict=True)}
        results = self._session.run([t.onnx for t in self.header.outputs], feeds)
        return [
            np.asarray(_rounded(a, half), t.dtype)
            for a, t in zip(results, self.header.outputs, strict=True)
        ]


def _rounded(array: np.ndarray[Any, Any], half: bool) -> np.ndarray[Any, Any]:
    if not half or array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)
