"""Packed results give the figures of the same results as files, to the last digit, and what is
wrong with them is refused as with files.
"""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import top_k_accuracy_score

from portproof.core.errors import InputError
from portproof.metrics.accuracy import packed_output
from portproof.metrics.accuracy.results import list_results, output_numbers
from portproof.metrics.accuracy.score import Reading, score
from portproof.metrics.accuracy.topn import topn
from portproof.metrics.paired.compare import compare
from portproof.proof.sidecar import read_proof

CLASSES = 5


def write_files(folder: Path, ids: list[str], *outputs: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, rows in enumerate(outputs, start=1):
        for sample, row in zip(ids, rows, strict=True):
            np.save(folder / f"{sample}_{number}.npy", row)
    return folder


def write_pack(folder: Path, ids: list[str], *outputs: np.ndarray, seed: int = 0) -> Path:
    """The same, in another order."""
    folder.mkdir(parents=True)
    order = np.random.default_rng(seed).permutation(len(ids))
    (folder / "ids.txt").write_text("".join(f"{ids[i]}\n" for i in order), encoding="utf-8")
    for number, rows in enumerate(outputs, start=1):
        np.save(folder / f"output{number}.npy", np.ascontiguousarray(rows[order]))
    return folder


def write_labels(path: Path, truth: dict[str, int]) -> Path:
    path.write_text("".join(f"val/{i}.x.JPEG {c}\n" for i, c in truth.items()), encoding="utf-8")
    return path


def said(work: Callable[[], Any]) -> str:
    """What comes of it: the result as text, or the sentence in which it is refused."""
    try:
        return repr(work())
    except InputError as error:
        return str(error)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), seed=st.integers(0, 99))
def test_figures_are_those_of_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, seed: int
) -> None:
    """Of any type, of one of several outputs, with ties and NaN, in any order, with samples that
    lack a result or a label.
    """
    folder = tmp_path_factory.mktemp("packed")
    ids = [f"表{i}" if i % 3 else f"s{i}" for i in range(data.draw(st.integers(1, 9)))]
    dtype = data.draw(st.sampled_from(["f2", "f4", "f8", "i1", "u1", "i8", "?"]))
    classes = data.draw(st.sampled_from([1, 2, CLASSES]))
    one = np.random.default_rng(seed).integers(0, 9, (len(ids), 1, classes, 1)).astype(dtype)
    if dtype[0] == "f" and data.draw(st.integers(0, 9)) == 0:
        one[0, 0, 0] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    outputs = [one, one[::-1]][: data.draw(st.integers(1, 2))]
    named = data.draw(st.permutations(ids))
    truth = {i: data.draw(st.integers(0, classes - 1)) for i in named}
    for sample in data.draw(st.lists(st.sampled_from(ids), max_size=2)):
        truth.pop(sample, None)
    if data.draw(st.booleans()):
        truth["absent"] = 0
    labels = write_labels(folder / "labels.txt", truth or {"x": 0})
    reading = Reading(
        classes=data.draw(st.sampled_from([None, classes])),
        output=data.draw(st.sampled_from([None, 1, 2])),
        allow_missing=data.draw(st.booleans()),
    )
    files = write_files(folder / "files" / "r", ids, *outputs)
    pack = write_pack(folder / "pack" / "r", ids, *outputs, seed=seed)
    assert output_numbers(files) == output_numbers(pack)
    figures = [said(lambda f=f: topn(f, labels, reading, n=3)) for f in (files, pack)]
    tables = [said(lambda f=f: score(f, labels, reading).outcomes.to_csv()) for f in (files, pack)]
    if tables[0].startswith("'id,label"):
        assert figures[0] == figures[1] and tables[0] == tables[1]
        if dtype == "f4":
            sides = [(files, files), (pack, files), (files, pack)]
            found = [compare(*s, labels, allow_missing=reading.allow_missing,
                             reference_reading=reading, port_reading=reading)
                     for s in sides]  # fmt: skip
            assert found[0].verdict is found[1].verdict and found[0].agreement == 1
            assert {(f.samples, f.both_right, f.mcnemar_p, f.left_out) for f in found} == {
                (found[0].samples, found[0].both_right, 1.0, found[0].left_out)
            }
    else:
        assert not tables[1].startswith("'id,label")
        same = ("have no label", "have no result", "no result of output", "say which with")
        if any(words in tables[0] for words in same):
            assert tables[1] == tables[0].replace("files/r", "pack/r")


def test_against_scikit_learn_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_output, "_TOGETHER", 1000)
    generator = np.random.default_rng(3)
    rows = generator.standard_normal((301, 12)).astype(np.float32)
    truth = generator.integers(0, 12, 301)
    ids = [f"s{i}" for i in range(301)]
    pack = write_pack(tmp_path / "r", ids, rows)
    labels = write_labels(tmp_path / "l.txt", dict(zip(ids, truth.tolist(), strict=True)))
    expected = [top_k_accuracy_score(truth, rows, k=k, labels=range(12)) for k in range(1, 6)]
    assert topn(pack, labels).accuracy == pytest.approx(expected)


@pytest.fixture
def case(tmp_path: Path) -> tuple[Path, Path]:
    rows = np.random.default_rng(1).standard_normal((40, CLASSES)).astype(np.float32)
    ids = [f"s{i}" for i in range(40)]
    labels = write_labels(tmp_path / "labels.txt", {i: k % CLASSES for k, i in enumerate(ids)})
    return write_pack(tmp_path / "result", ids, rows), labels


def test_the_command_and_its_sidecar(
    case: tuple[Path, Path], tmp_path: Path, stage: Callable[..., Any]
) -> None:
    """The whole file is hashed while it is read, so that its hash is that of its own sidecar; a
    file that is touched makes the work stale.
    """
    result, labels = case
    arguments = ("metrics/topn.py", result, labels, "--out", tmp_path / "result.json")
    assert stage(*arguments, "--outcomes", tmp_path / "o.csv").returncode == 0
    facts = read_proof(tmp_path / "result.json.proof.json").facts
    digest = hashlib.sha256((result / "output1.npy").read_bytes()).hexdigest()
    assert facts["result sha256"] == digest and facts["figures"]["samples"] == 40
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == [f"s{i}" for i in range(40)]
    again = stage(*arguments, "--outcomes", tmp_path / "o.csv")
    assert "up to date" in again.stderr
    os.utime(result / "ids.txt", (1, 1))
    assert "up to date" not in stage(*arguments, "--outcomes", tmp_path / "o.csv").stderr
    one = stage("metrics/compare.py", result, tmp_path / "o.csv", labels, "--json")
    assert one.returncode == 4 and json.loads(one.stdout)["agreement"] == 1


def test_of_the_wrong_kind(tmp_path: Path) -> None:
    ids = ["a", "b"]
    labels = write_labels(tmp_path / "l.txt", {"a": 0, "b": 1})
    for name, rows, reading, words in (
        ("boxes", np.zeros((2, 6, 4)), Reading(), r"has the shape \(6, 4\) for one sample"),
        ("other", np.zeros((2, 4)), Reading(classes=5), "holds 4 numbers a sample, 5"),
        ("one", np.zeros(2), Reading(), "holds 1 numbers, one for every class"),
        ("none", np.zeros((2, 0)), Reading(), "holds 0 numbers, one for every class"),
        ("truths", np.zeros((2, 4), bool), Reading(), "holds bool, real numbers were expected"),
        ("nan", np.full((2, 4), np.nan), Reading(), r"2 of 2 results hold NaN \(a in output1.npy"),
    ):
        pack = write_pack(tmp_path / name, ids, rows)
        with pytest.raises(InputError, match=words):
            topn(pack, labels, reading)


def test_only_what_is_asked_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_output, "_TOGETHER", 64)
    ids = [f"s{i}" for i in range(50)]
    rows = np.arange(150, dtype=np.float32).reshape(50, 3)
    results = list_results(write_pack(tmp_path / "r", ids, rows))
    wanted = ["s40", "s3", "s17"]
    found = np.full((3, 3), np.nan)
    for where, part in results.read(wanted, 3):
        found[where] = part
    assert np.array_equal(found, rows[[40, 3, 17]])
    assert results.array("s9", np.dtype("f2")).tolist() == rows[9].tolist()
    with pytest.raises(InputError, match="no result of the sample 'absent'"):
        results.array("absent", np.dtype("f4"))


def test_a_sample_takes_few_bytes(tmp_path: Path) -> None:
    """Labels, results, outcomes and their table: no list or dictionary of all the samples."""
    count = 100_000
    rows = np.random.default_rng(1).standard_normal((count, 10)).astype(np.float32)
    (tmp_path / "r").mkdir()
    np.save(tmp_path / "r/output1.npy", rows)
    ids = [f"ILSVRC2012_val_{i:08d}" for i in range(count)]
    (tmp_path / "r/ids.txt").write_text("\n".join(ids) + "\n", encoding="ascii")
    lines = (f"{name}.JPEG {i % 10}\n" for i, name in enumerate(ids))
    (tmp_path / "l.txt").write_text("".join(lines), encoding="ascii")
    del rows, ids
    files = {"out": tmp_path / "o.json", "outcomes": tmp_path / "o.csv"}
    tracemalloc.start()
    try:
        topn(tmp_path / "r", tmp_path / "l.txt", **files)  # type: ignore[arg-type]
        first = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        compare(tmp_path / "r", tmp_path / "o.csv", tmp_path / "l.txt", out=tmp_path / "c.json")
        second = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    fixed = 20_000_000  # parts that are text at one time
    assert first < fixed + 150 * count
    assert second < fixed + 250 * count
