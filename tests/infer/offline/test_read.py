"""Samples read by compiled code and by Python: the same arrays, records and errors."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.backend import TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline import native, read
from portproof.infer.offline.file_reader import FileReader
from portproof.infer.offline.read import Folders, cut, read_batch
from portproof.manifest import Sample
from portproof.preprocess.pixels.native import build
from portproof.proof.sidecar import record_of

SPECS = (TensorSpec("a", "float32", (None, 3, 5)), TensorSpec("b", "uint8", (None, 7)))
needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed"
)


@pytest.fixture(params=["compiled", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads."""
    if request.param == "python":
        monkeypatch.setattr(read, "file_reader", FileReader)
    elif not isinstance(native.file_reader(), native.CompiledReader):
        pytest.skip("no C compiler is installed")
    return str(request.param)


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """Four samples with two inputs, with relative and absolute paths, some of them not ASCII."""
    monkeypatch.chdir(tmp_path)
    rng, made = np.random.default_rng(0), []
    for folder in ("x", "y/größe"):
        Path(folder).mkdir(parents=True)
    for number in range(4):
        paths = (f"x/s{number}.bin", f"{tmp_path}/y/größe/s{number}_b.bin")
        for path, spec in zip(paths, SPECS, strict=True):
            Path(path).write_bytes(rng.bytes(spec.nbytes(1) or 0))
        made.append(Sample(f"s{number}", paths))
    return made


def test_arrays_and_records(way: str, samples: list[Sample], tmp_path: Path) -> None:
    batch = read_batch(samples, SPECS, tmp_path / "x")
    assert batch.ids == [s.id for s in samples]
    for number, spec in enumerate(SPECS):
        expected = [np.fromfile(s.files[number], spec.dtype) for s in samples]
        found = batch.feeds[spec.name]
        assert found.dtype == spec.dtype and found.shape == (4, *spec.sample_shape)
        assert np.array_equal(found.reshape(4, -1), np.stack(expected))
    assert batch.records == [record_of(f, tmp_path / "x") for s in samples for f in s.files]


@pytest.mark.parametrize("size", [0, 59, 61, 1000])
def test_a_file_of_another_size_is_named(way: str, samples: list[Sample], size: int) -> None:
    Path("x/s2.bin").write_bytes(bytes(size))
    with pytest.raises(InputError, match=rf"'x/s2.bin' has {size} bytes.* takes 60"):
        read_batch(samples, SPECS, Path())


def test_a_file_that_went_is_named(way: str, samples: list[Sample]) -> None:
    Path("x/s3.bin").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        read_batch(samples, SPECS, Path())
    assert caught.value.filename == "x/s3.bin"


def test_paths_begin_in_the_folder_that_is_open(way: str, tmp_path: Path) -> None:
    contents = {"größe.bin": b"abc", "none": b"", "long": b"abcd", "never.bin": b"def"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    opened = os.open(tmp_path, os.O_RDONLY)
    try:
        for odd, got in (("none", 0), ("long", 4), ("pipe", 0)):
            rows = np.zeros((3, 3), np.uint8)
            found = read.file_reader().read(["größe.bin", odd, "never.bin"], rows, opened, False)
            assert found["got"].tolist() == [3, got, 0], "none is read behind an odd one"
            assert rows[0].tobytes() == b"abc" and not rows[2].any()
            assert not found["sha256"].any(), "nobody asked for it"
            status = (tmp_path / odd).stat()
            expected = (status.st_size, status.st_mtime_ns, status.st_ino)
            assert tuple(found[1])[1:4] == expected
        with pytest.raises(IsADirectoryError) as caught:
            read.file_reader().read(["."], np.zeros((1, 3), np.uint8), opened)
        assert caught.value.filename == "."
    finally:
        os.close(opened)


@pytest.mark.parametrize("path", ["/a.bin", "a.bin", "d/a.bin", "d//a.bin", "./d/../d/a.bin"])
def test_paths_are_stored_as_records_store_them(tmp_path: Path, path: str) -> None:
    folder = os.path.join(os.path.abspath(os.path.dirname(path)), "")
    root = Path.cwd()
    plain = folder.removeprefix(f"{root}{os.sep}") + "a.bin"
    assert Folders(root).path(path) == plain


@given(st.integers(0, 300) | st.sampled_from([4096, 5000]), st.integers(1, 9), st.integers(0, 9))
def test_rows_that_are_hashed_side_by_side_are_hashed_as_hashlib_does(
    tmp_path_factory: pytest.TempPathFactory, size: int, count: int, odd: int
) -> None:
    """Any size and number of rows, with a file of another size among them or none."""
    reader = native.file_reader()
    if not isinstance(reader, native.CompiledReader):
        pytest.skip("no C compiler is installed")
    folder, rng = tmp_path_factory.mktemp("rows"), np.random.default_rng(size)
    for number in range(count):
        (folder / f"{number}").write_bytes(rng.bytes(size + (number == odd)))
    opened, paths = os.open(folder, os.O_RDONLY), [str(number) for number in range(count)]
    try:
        found = reader.read(paths, np.zeros((count, size), np.uint8), opened)
    finally:
        os.close(opened)
    whole = min(odd, count)
    digests = [hashlib.sha256((folder / path).read_bytes()).digest() for path in paths[:whole]]
    assert [row.tobytes() for row in found["sha256"][:whole]] == digests
    assert not found["sha256"][whole:].any(), "none behind an odd one"


def test_batches_that_are_read_together_are_those_read_one_by_one(
    way: str, samples: list[Sample], tmp_path: Path
) -> None:
    one_by_one = [
        read_batch(samples[:1], SPECS, tmp_path),
        read_batch(samples[1:], SPECS, tmp_path),
    ]
    together = cut(read_batch(samples, SPECS, tmp_path), [1, 3])
    for batch, single in zip(together, one_by_one, strict=True):
        assert batch.ids == single.ids and batch.records == single.records
        for name, array in single.feeds.items():
            assert np.array_equal(batch.feeds[name], array)


@needs_compiler
def test_it_is_plain_c_without_a_warning(root: Path, tmp_path: Path) -> None:
    words = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC"]
    sources = [str(path) for path in (root / "infer/offline/native").glob("*.c")]
    command = ["cc", *words, *sources, "-o", str(tmp_path / "c.so")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty cache folder, and nothing loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    native.file_reader.cache_clear()
    yield
    native.file_reader.cache_clear()


def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CC", raising=False)


def no_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise build.CoreUnavailable("Python's OpenSSL cannot be called: x")

    monkeypatch.setattr(native, "_openssl", fail)


@needs_compiler
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_compiler, "no C compiler is installed"),
        (no_openssl, "Python's OpenSSL cannot be called: x"),
    ],
)
def test_without_it_python_reads_and_it_is_said(
    fresh: None,
    samples: list[Sample],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    spoil: Any,
    words: str,
) -> None:
    spoil(monkeypatch)
    expected = [record_of(f, Path()) for s in samples for f in s.files]
    for _ in range(2):
        assert read_batch(samples, SPECS, Path()).records == expected
    said = capsys.readouterr().err
    assert said.count("files are read by Python, more slowly") == 1 and words in said
