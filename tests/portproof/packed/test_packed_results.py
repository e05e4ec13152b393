"""Packed result folders: what numpy wrote is read, and everything else is refused."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.packed import results
from portproof.packed.npy import npy_header
from portproof.packed.results import is_packed, open_results


def pack(folder: Path, ids: list[str], *outputs: np.ndarray) -> Path:
    folder.mkdir()
    (folder / "ids.txt").write_text("".join(f"{i}\n" for i in ids), encoding="utf-8")
    for number, array in enumerate(outputs, start=1):
        np.save(folder / f"output{number}.npy", array)
    return folder


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i8", "?"])
def test_rows_are_those_that_numpy_wrote(tmp_path: Path, dtype: str) -> None:
    one = np.arange(24).reshape(4, 3, 2).astype(dtype)
    two = np.arange(4, dtype=np.float32)
    ids, outputs = open_results(pack(tmp_path / "r", ["b", "a", "表", "c"], one, two))
    assert ids == ("b", "a", "表", "c") and sorted(outputs) == [1, 2]
    with outputs[1].open() as reader:
        assert reader.read(1, 2).tobytes() == one[1:3].tobytes()
        for at in ([3, 1, 0], [0, 1, 3], [], [2, 2], [1, 2, 3]):
            taken = reader.take(at)
            assert taken.dtype == one.dtype and np.array_equal(taken, one[np.array(at, int)])
        whole = reader.header() + reader.read(0, 4).tobytes()
    assert whole == (tmp_path / "r/output1.npy").read_bytes()
    with outputs[2].open() as reader:
        assert reader.take([3, 0]).tolist() == [3, 0]


@pytest.mark.parametrize("chunk", [1, 2, 7, 1 << 20])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ids", [["a"], ["b", "表", "c"], [f"s{i}" for i in range(20)]])
def test_ids_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, mark: bytes, ids: list[str]
) -> None:
    monkeypatch.setattr(results, "_CHUNK", max(chunk, len(mark)))
    (tmp_path / "ids.txt").write_bytes(mark + "".join(f"{i}\n" for i in ids).encode())
    assert results.read_ids(tmp_path / "ids.txt", "ids", "again") == tuple(ids)


def test_our_own_header_is_numpys(tmp_path: Path) -> None:
    rows = np.arange(6, dtype="<f4").reshape(3, 2)
    content = npy_header(rows.shape, rows.dtype) + rows.tobytes()
    assert np.array_equal(np.load(io.BytesIO(content)), rows)


def save(path: Path, array: np.ndarray, version: tuple[int, int] = (1, 0)) -> None:
    with open(path, "wb") as file:
        np.lib.format.write_array(file, array, version=version)


def header(path: Path, text: str) -> None:
    padded = text.ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode())


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no ids": (lambda f: (f / "ids.txt").unlink(), "without ids.txt"),
    "no rows": (lambda f: (f / "output1.npy").unlink(), "without output1.npy"),
    "a gap": (lambda f: save(f / "output3.npy", np.zeros(3)), "without output2.npy"),
    "output 0": (lambda f: save(f / "output0.npy", np.zeros(3)), "output0.npy"),
    "a stray": (lambda f: (f / "a_1.bin").write_bytes(b"1234"), r"not packed results \(a_1.bin\)"),
    "a folder": (lambda f: (f / "more").mkdir(), r"not packed results \(more\)"),
    "in the making": (lambda f: (f / ".output1.npy.partial").touch(), "not finished"),
    "an id twice": (lambda f: (f / "ids.txt").write_text("a\nb\na\n"), "more than one file"),
    "few ids": (lambda f: (f / "ids.txt").write_text("a\nb\n"), "2 ids and output1.npy 3 rows"),
    "no id at all": (lambda f: (f / "ids.txt").write_text(""), "is empty"),
    "a cut id": (lambda f: (f / "ids.txt").write_text("a\nb\nc"), "middle of a line"),
    "a blank line": (lambda f: (f / "ids.txt").write_text("a\n\nc\n"), "line 2"),
    "line ends": (lambda f: (f / "ids.txt").write_bytes(b"a\r\nb\r\nc\r\n"), "line 1"),
    "file names": (lambda f: (f / "ids.txt").write_text("a\nb.jpg\nc\n"), "line 2.*'b.jpg'"),
    "no UTF-8": (lambda f: (f / "ids.txt").write_bytes(b"a\n\xff\nc\n"), "not UTF-8"),
    "ids are a folder": (
        lambda f: ((f / "ids.txt").unlink(), (f / "ids.txt").mkdir()),
        "a file was expected",
    ),
    "a pipe": (
        lambda f: ((f / "output1.npy").unlink(), os.mkfifo(f / "output1.npy")),
        "no.* regular file",
    ),
    "no npy": (lambda f: (f / "output1.npy").write_bytes(b"\0" * 200), "not a whole .npy file"),
    "an empty file": (lambda f: (f / "output1.npy").write_bytes(b""), "not a whole .npy file"),
    "cut": (lambda f: os.truncate(f / "output1.npy", 140), "has 140 bytes, 152 were expected"),
    "too long": (lambda f: os.truncate(f / "output1.npy", 500), "has 500 bytes, 152 were"),
    "objects": (lambda f: save(f / "output1.npy", np.array([{}] * 3)), "holds object"),
    "text": (lambda f: save(f / "output1.npy", np.array(["a"] * 3)), "numbers were expected"),
    "records": (lambda f: save(f / "output1.npy", np.zeros(3, "f4,i4")), "numbers were expected"),
    "complex": (lambda f: save(f / "output1.npy", np.zeros(3, "c8")), "numbers were expected"),
    "columns first": (
        lambda f: save(f / "output1.npy", np.zeros((3, 4), order="F")),
        "Fortran order",
    ),
    "big-endian": (lambda f: save(f / "output1.npy", np.zeros(3, ">f4")), "big-endian float32"),
    "version 2": (lambda f: save(f / "output1.npy", np.zeros(3), (2, 0)), "version 2.0"),
    "one number": (lambda f: save(f / "output1.npy", np.float32(1)), "samples, ..."),
    "code": (
        lambda f: header(f / "output1.npy", "{'descr': __import__('os').getcwd()}"),
        "not a whole .npy file",
    ),
    "huge": (
        lambda f: header(
            f / "output1.npy", f"{{'descr': '<f4', 'fortran_order': False, 'shape': (3, {2**62})}}"
        ),
        "were expected for",
    ),
    "negative": (
        lambda f: header(
            f / "output1.npy", "{'descr': '<f4', 'fortran_order': False, 'shape': (3, -1)}"
        ),
        "samples, ...",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_whole_pack_is_refused(tmp_path: Path, case: str) -> None:
    damage, words = HOSTILE[case]
    folder = pack(tmp_path / "r", ["a", "b", "c"], np.zeros((3, 2), np.float32))
    open_results(folder)
    damage(folder)
    with pytest.raises(InputError, match=words):
        open_results(folder)
    assert is_packed(folder)


def test_a_file_that_shrinks_while_it_is_read_ends_in_a_sentence(tmp_path: Path) -> None:
    rows = np.zeros((1000, 1000), np.float32)
    _, outputs = open_results(pack(tmp_path / "r", [f"s{i}" for i in range(1000)], rows))
    with (
        pytest.raises(InputError, match="became shorter while it was read"),
        outputs[1].open() as reader,
    ):
        reader.read(0, 500)
        os.truncate(tmp_path / "r/output1.npy", 1_000_000)
        reader.read(500, 500)


@pytest.mark.parametrize("when", ["before", "while"])
def test_rows_of_another_run_are_not_taken_for_these(tmp_path: Path, when: str) -> None:
    """Ids are in a file of their own: a file of rows that took the place of the one that was opened
    may have another order.
    """
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    folder = pack(tmp_path / "r", ["a", "b", "c"], rows)
    _, outputs = open_results(folder)
    np.save(tmp_path / "other.npy", rows[::-1])
    if when == "before":
        os.replace(tmp_path / "other.npy", folder / "output1.npy")
        with pytest.raises(InputError, match="changed while it was read"):
            outputs[1].open()
    else:
        with pytest.raises(InputError, match="changed while it was read"), outputs[1].open():
            with open(folder / "output1.npy", "r+b") as file:
                file.write((tmp_path / "other.npy").read_bytes())
            os.utime(folder / "output1.npy", (1, 1))


def test_a_folder_of_files_is_no_pack(tmp_path: Path) -> None:
    (tmp_path / "a_1.bin").write_bytes(b"1234")
    assert not is_packed(tmp_path)
