"""What is written for a batch: whole files, in one step of the journal, or nothing."""

from __future__ import annotations

import errno
import io
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.infer.offline.inference import run
from portproof.infer.offline.write import ResultFiles, ResultWriter, encoded_rows, rows_with_nan

NAN, INF = np.nan, np.inf


@pytest.mark.parametrize(
    "arrays",
    [
        [np.zeros((4, 3), "f4")],
        [np.array([[1, NAN], [2, 3], [INF, -INF], [NAN, NAN]], "f2")],
        [np.array([1, NAN, 2], "f8"), np.array([[[NAN]], [[1]], [[2]]], "f4")],
        [np.array([[INF, -INF]], "f4"), np.zeros((1, 2), "i8")],
        [np.zeros((2, 0), "f4"), np.array([[1], [NAN]], "f4")],
        [np.zeros((2, 3), "bool")],
    ],
)
def test_rows_with_nan_are_those_that_numpy_finds(arrays: list[Any]) -> None:
    expected = [
        row
        for row in range(len(arrays[0]))
        if any(a.dtype.kind == "f" and np.isnan(a[row]).any() for a in arrays)
    ]
    assert rows_with_nan(arrays) == expected


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "<i8", "|b1", "|u1"])
@pytest.mark.parametrize("shape", [(3,), (3, 2, 2), (3, 0), (1, 5)])
def test_the_bytes_of_a_row_are_numpys(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    for row, raw, npy in zip(
        array, encoded_rows(array, "bin"), encoded_rows(array, "npy"), strict=True
    ):
        assert bytes(raw) == row.tobytes()
        again = np.load(io.BytesIO(npy))
        assert again.dtype == array.dtype and np.array_equal(again, row)


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_a_full_disk_leaves_whole_files_and_no_other(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """It happens at the sixth file, in the second batch; the next run ends with the same bytes."""
    monkeypatch.chdir(tiny.folder)
    run("model.onnx", "prep.info", "whole", batch=2)
    expected = {p.name: p.read_bytes() for p in Path("whole").iterdir()}
    real, calls = getattr(os, moment), []

    def failing(*arguments: Any, **options: Any) -> Any:
        if ".tmp" in str(arguments[0]) or moment == "write":
            calls.append(arguments)
        if len(calls) == 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*arguments, **options)

    monkeypatch.setattr(os, moment, failing)
    with pytest.raises(OSError, match="No space"):
        run("model.onnx", "prep.info", "full", batch=2)
    monkeypatch.undo()
    monkeypatch.chdir(tiny.folder)
    left = {p.name: p.read_bytes() for p in Path("full").iterdir()}
    assert 4 <= len(left) < len(expected)
    assert left.items() <= expected.items()
    run("model.onnx", "prep.info", "full", batch=2)
    assert {p.name: p.read_bytes() for p in Path("full").iterdir()} == expected


def test_a_write_that_takes_a_part_is_continued(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny.folder)
    run("model.onnx", "prep.info", "whole", batch=4)
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:3]))
    run("model.onnx", "prep.info", "parts", batch=4)
    assert {p.name: p.read_bytes() for p in Path("parts").iterdir()} == {
        p.name: p.read_bytes() for p in Path("whole").iterdir()
    }


@pytest.mark.parametrize("size", [47, 49])
def test_a_sample_whose_size_changes_after_the_check_is_named(
    tiny: Any, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    from portproof.infer.offline import sources

    monkeypatch.chdir(tiny.folder)
    check = sources.check_files

    def checked(*arguments: Any) -> str:
        digest = check(*arguments)
        Path("prep/s3.bin").write_bytes(bytes(size))
        return digest

    monkeypatch.setattr(sources, "check_files", checked)
    with pytest.raises(InputError, match=rf"prep/s3.bin' has {size} bytes.*takes 48"):
        run("model.onnx", "prep.info", "result", batch=4)


class Gated(ResultFiles):
    """Results that are written when the gate opens; the second batch fails."""

    def __init__(self) -> None:
        self.gate, self.seen = threading.Event(), list[str]()

    def write(self, samples: Sequence[str], arrays: Sequence[Any]) -> None:
        self.gate.wait(60)
        self.seen += samples
        if len(self.seen) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("values", "behind"), [(10, 32), (2_000_000, 2), (500_000, 5)])
def test_small_results_may_be_further_behind_than_large_ones(values: int, behind: int) -> None:
    """4 bytes a value, one sample a batch; the error of the writer is raised at the next one."""
    results, handed = Gated(), list[int]()
    array = np.zeros((1, values), "f4")

    def hand_over() -> None:
        with pytest.raises(OSError, match="No space"), ResultWriter(results, ["a"]) as writer:
            for number in range(100):
                writer.put([f"{number}"], {"a": array})
                handed.append(number)

    thread = threading.Thread(target=hand_over)
    thread.start()
    ends = time.monotonic() + 20
    while len(handed) < behind and time.monotonic() < ends:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(handed) == behind
    results.gate.set()
    thread.join(20)
    assert not thread.is_alive() and len(handed) < 100
