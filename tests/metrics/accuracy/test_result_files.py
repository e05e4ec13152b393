"""Result files read by compiled code and by Python: the same figures, hashes and refusals."""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.infer.offline import native
from portproof.metrics.accuracy import result_files
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import Reading, score

#: More files than are read together, the last part not a whole one.
SAMPLES, CLASSES = 1100, 3


@pytest.fixture(params=["compiled", "python"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads and counts."""
    for module in (result_files, sys.modules[score.__module__]):
        monkeypatch.setattr(module, "MANY", 0 if request.param == "compiled" else SAMPLES + 1)
    if request.param == "compiled" and not isinstance(native.file_reader(), native.CompiledReader):
        pytest.skip("no C compiler is installed")
    return str(request.param)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """A result folder and its label file, in another order than the names'."""
    rows = np.random.default_rng(0).standard_normal((SAMPLES, CLASSES)).astype("<f4")
    (tmp_path / "größe").mkdir()
    for at, row in enumerate(rows):
        row.tofile(tmp_path / "größe" / f"s{at}_1.bin")
    (tmp_path / "labels.txt").write_text(
        "".join(f"s{at} {at % CLASSES}\n" for at in range(SAMPLES))
    )
    return tmp_path / "größe", tmp_path / "labels.txt"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_figures_and_hashes(way: str, made: tuple[Path, Path], dtype: str) -> None:
    folder, labels = made
    paths = [folder / f"s{at}_1.bin" for at in range(SAMPLES)]
    if dtype == "float16":
        for path in paths:
            path.write_bytes(np.fromfile(path, "<f4").astype("<f2").tobytes())
    contents = [path.read_bytes() for path in paths]
    rows = np.frombuffer(b"".join(contents), dtype).reshape(SAMPLES, CLASSES).astype(np.float64)
    scored = score(folder, labels, Reading(dtype), digest=True)
    assert scored.sha256 == hashlib.sha256(b"".join(contents)).hexdigest()
    assert scored.outcomes.predicted.tolist() == rows.argmax(axis=1).tolist()
    own = rows[range(SAMPLES), np.arange(SAMPLES) % CLASSES]
    assert scored.outcomes.rank.tolist() == (rows >= own[:, None]).sum(axis=1).tolist()


def test_the_listing_is_of_the_files_as_they_were_hashed(way: str, made: tuple[Path, Path]) -> None:
    folder, labels = made
    for name in ("b", "c", "d"):  # the same order in the label file and the folder
        (folder / f"{name}_1.bin").write_bytes(bytes(4 * CLASSES))
    for path in folder.glob("s*"):
        path.unlink()
    labels.write_text("b 0\nc 0\nd 0\n")
    results = list_results(folder)
    stats = [(folder / f"{name}_1.bin").stat() for name in "bcd"]
    packed = b"".join(struct.pack("<3q", s.st_size, s.st_mtime_ns, s.st_ino) for s in stats)
    expected = hashlib.sha256(b"_1.bin\nb\nc\nd\n" + packed).hexdigest()
    score(results, labels, digest=True)
    os.utime(folder / "c_1.bin", (0, 0))
    assert results.listing_digest() == expected
    assert list_results(folder).listing_digest() != expected


@pytest.mark.parametrize("at", [0, 511, 512, SAMPLES - 1])
@pytest.mark.parametrize("size", [0, 11, 13, 5000])
def test_a_file_of_another_size_is_counted_and_named(
    way: str, made: tuple[Path, Path], at: int, size: int
) -> None:
    folder, labels = made
    (folder / f"s{at}_1.bin").write_bytes(bytes(size))
    words = rf"1 of {SAMPLES} results do not hold 12 bytes .* {size} bytes in 1 \(s{at}_1.bin\)"
    with pytest.raises(InputError, match=words):
        score(folder, labels, Reading(classes=CLASSES))


def test_what_is_no_file_is_named(way: str, made: tuple[Path, Path]) -> None:
    folder, labels = made
    odd = folder / "s700_1.bin"
    odd.unlink()
    os.mkfifo(odd)
    with pytest.raises(InputError, match=r"0 bytes in 1 \(s700_1.bin\)"):
        score(folder, labels)
    odd.unlink()
    odd.mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        score(folder, labels)
    assert caught.value.filename == str(odd)
    odd.rmdir()
    odd.symlink_to("nowhere")
    with pytest.raises(FileNotFoundError) as gone:
        score(folder, labels)
    assert gone.value.filename == str(odd)
