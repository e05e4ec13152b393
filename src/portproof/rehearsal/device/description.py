"""What the real tools print of a model at their level DEBUG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from portproof.rehearsal.device.acl_types import dtype_of
from portproof.rehearsal.om import Header, OmTensor


def lines(header: Header) -> Iterator[str]:
    """The lines of ``PrintDesc`` (Ascend/tools), without their level; the dimensions stand on lines
    of their own without one.
    """
    yield "[DEBUG] start print model description"
    yield f"[DEBUG] NumInputs: {len(header.inputs)}"
    yield f"[DEBUG] NumOutputs: {len(header.outputs)}"
    for side, tensors, shapes in (
        ("input", header.inputs, header.largest),
        ("output", header.outputs, [t.shape for t in header.outputs]),
    ):
        for index, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True)):
            yield from _of(f"{index} {side}", tensor, 0 if header.kind == "shape" else _size(shape))
    if header.kind == "batch":
        yield "[DEBUG] DynamicBatch:"
        yield "".join(f"{gear[0]} " for gear in header.gears)
    if header.kind == "hw":
        yield "[DEBUG] DynamicHW:"
        yield "".join(f"{height},{width} " for height, width in header.gears)
    yield "[DEBUG] end print model description"


def _of(which: str, tensor: OmTensor, elements: int) -> Iterator[str]:
    yield f"[DEBUG] the size of {which}: {elements * np.dtype(tensor.dtype).itemsize}"
    yield f"[DEBUG] the dims of {which}:"
    yield "".join(f"{d} " for d in tensor.shape)
    yield f"[DEBUG] the name of {which}: {tensor.name}"
    yield f"[DEBUG] the Format of {which}: {0 if len(tensor.shape) == 4 else 2}"
    yield f"[DEBUG] the DataType of {which}: {int(dtype_of(tensor.dtype))}"


def _size(shape: Sequence[int]) -> int:
    return int(np.prod([abs(d) for d in shape], dtype=np.int64))
