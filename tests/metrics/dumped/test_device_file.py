"""Files of an Ascend device that were damaged or made to harm: one sentence, never a crash."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.dumped import device_file, wire

from .ascend import DumpData, Op, Part, raw

OP = Op(
    "Conv2D",
    "conv",
    [Part(np.arange(6, dtype=np.float16).reshape(2, 3), "ND", (2, 3))],
    [
        Part(np.arange(32, dtype=np.float32).reshape(1, 1, 1, 2, 16), "NC1HWC0", (1, 9, 1, 2),
             ("/conv/Conv", 1, "NHWC")),
        Part(np.array([], np.int32)),
    ],
)  # fmt: skip


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(raw(OP))
    read = device_file.read(path)
    assert [h.dtype for h in (*read.inputs, *read.outputs)] == ["float16", "float32", "int32"]
    assert np.array_equal(read.load(read.inputs[0]), OP.inputs[0].values)
    conv, empty = read.outputs
    assert np.array_equal(read.load(conv), OP.outputs[0].values)
    assert (conv.layout, conv.original, conv.order) == ("NC1HWC0", (1, 9, 1, 2), "NHWC")
    assert conv.origin == ("/conv/Conv", 1)
    assert read.load(empty).shape == (0,) and empty.origin is None


def test_a_size_that_was_not_known_is_none(tmp_path: Path) -> None:
    message = DumpData(version="2.0")
    entry = message.output.add(data_type=1, format=2, size=4)
    entry.shape.dim.append(1)
    entry.original_shape.dim.extend([(1 << 64) - 1, 3])
    header = message.SerializeToString()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    assert device_file.read(tmp_path / "file").outputs[0].original == ()


def test_a_shape_that_needs_more_than_there_is(tmp_path: Path) -> None:
    message = DumpData()
    message.output.add(data_type=1, size=4).shape.dim.extend([1 << 40, 1 << 40])
    header = message.SerializeToString()
    (tmp_path / "file").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(InputError, match="where the shape"):
        device_file.read(tmp_path / "file")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_changed_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(raw(OP))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "changed"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        read = device_file.read(path)
    except InputError as error:
        assert "\n" not in str(error)
        return
    for held in (*read.inputs, *read.outputs):
        read.content(held)
        if device_file.itemsize(held.dtype):
            assert read.load(held).shape == held.shape


@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_none(data: bytes) -> None:
    try:
        found = list(wire.fields(data))
    except ValueError:
        return
    assert all(number > 0 for number, _ in found)


@pytest.mark.parametrize(
    "data", [b"\x08", b"\x08" + b"\xff" * 10, b"\x0a\x05ab", b"\x0b", b"\x00\x00", b"\x09\x00"]
)
def test_what_is_no_message(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"number|field|end"):
        list(wire.fields(data))
