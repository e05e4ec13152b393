"""Memory of arrays that are gone is taken again, and of no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from portproof.preprocess.pixels.memory import Memory


def place(array: Any) -> int:
    return int(array.ctypes.data)


def test_it_is_as_numpys_and_taken_again() -> None:
    memory = Memory()
    first = memory.empty((3, 5, 7), np.float32)
    assert (first.shape, first.dtype) == ((3, 5, 7), np.float32)
    assert first.flags.c_contiguous and first.flags.writeable and place(first) % 16 == 0
    was = place(first)
    second = memory.empty((3, 5, 7), "uint8")
    assert place(second) != was
    del first
    smaller = memory.empty((2, 5, 7), "float32")
    assert place(smaller) == was
    del smaller
    assert memory.empty((30, 5, 7), "float32").nbytes == 4200


@pytest.mark.parametrize(
    "held",
    [
        lambda array: array[1:],
        lambda array: array.reshape(-1).view(np.uint8),
        lambda array: array.data,
        lambda array: memoryview(array.reshape(-1).view(np.uint8))[4:8],
        lambda array: {"x": [array]},
        lambda array: np.asarray(array)[::-1][:1],
    ],
)
def test_what_anybody_holds_is_left_alone(held: Any) -> None:
    memory = Memory()
    array = memory.empty((4, 4), np.float32)
    was = place(array)
    kept = held(array)
    del array
    others = [memory.empty((4, 4), np.float32) for _ in range(3)]
    assert was not in map(place, others)
    del kept
    assert place(memory.empty((4, 4), np.float32)) == was


def test_of_torch_too() -> None:
    torch = pytest.importorskip("torch")
    memory = Memory()
    array = memory.empty((4, 4), np.float32)
    was, tensor = place(array), torch.from_numpy(array)
    del array
    assert place(memory.empty((4, 4), np.float32)) != was
    answer = tensor.numpy()
    del tensor
    assert place(memory.empty((4, 4), np.float32)) != was
    del answer
