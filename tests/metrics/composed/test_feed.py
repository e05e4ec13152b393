"""From the answers of one part to the samples of the next: as data, by a function, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.manifest import Sample, read_info, write_info

CARD = """\
name: pair
parts:
  - {name: finder, model: finder.yaml}
  - name: reader
    model: reader.yaml
    feeds: FEEDS
outputs:
  - {name: sums, shape: [2]}
gather: GATHER
task: text_recognition
postprocess: {kind: text, vocabulary: words.txt}
"""
FINDER = """\
name: finder
builder: model.py:build
inputs:
  - {name: values, shape: [4], layout: ND}
outputs:
  - {name: found, shape: [4]}
"""
READER = """\
name: reader
builder: model.py:build
inputs:
  - {name: one, shape: [2], layout: ND}
outputs:
  - {name: read, shape: [2]}
"""
GLUE = """\
import numpy as np

def halves(given):
    found = given.outputs("finder")["found"]
    assert (found == 10 * given.inputs("finder")["values"]).all()
    return [{"one": half} for half in found.reshape(2, 2) if half.any()]

def add(given):
    return {"sums": sum((a["read"] for a in given.each("reader")), np.zeros(2, np.float32))}

def wrong(given):
    return [{"two": 1}]

def nothing(given):
    return []

def whole(given):
    return {"one": np.zeros(3, np.float32)}
"""


def results(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A result folder without a sidecar, as a vendor's tool leaves it."""
    folder.mkdir()
    for name, array in arrays.items():
        array.astype(np.float32).tofile(folder / f"{name}_1.bin")
    return folder


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two samples that the first part has answered; of the second one, half is zero."""
    monkeypatch.chdir(tmp_path)
    values = {"a": np.array([1, 2, 3, 4.0]), "b": np.array([0, 0, 5, 6.0])}
    Path("prep").mkdir()
    for name, array in values.items():
        array.astype(np.float32).tofile(f"prep/{name}.bin")
    write_info("prep.info", [Sample(name, (f"prep/{name}.bin",)) for name in values])
    results(tmp_path / "found", {name: 10 * array for name, array in values.items()})
    for name, text in (("finder.yaml", FINDER), ("reader.yaml", READER), ("glue.py", GLUE)):
        (tmp_path / name).write_text(text)
    return tmp_path


def card(world: Path, feeds: str, gather: str = "glue.py:add") -> Path:
    path = world / "pair.yaml"
    path.write_text(CARD.replace("FEEDS", feeds).replace("GATHER", gather))
    return path


def feed(stage, world: Path, *words: str):
    return stage("metrics/feed.py", *words, cwd=world)


FOUND = "finder=prep.info=found"


def test_one_sample_becomes_several_and_they_come_together_again(stage, world: Path) -> None:
    path = card(world, "glue.py:halves")
    done = feed(stage, world, path, "--parts", FOUND, "--to", "reader", "--out", "fed", "fed.info")
    assert done.returncode == 0, done.stderr
    samples = {s.id: np.fromfile(s.files[0], np.float32) for s in read_info("fed.info")}
    assert {i: a.tolist() for i, a in samples.items()} == {
        "a@0": [10, 20],
        "a@1": [30, 40],
        "b@0": [50, 60],
    }
    results(world / "read", {name: array + 1 for name, array in samples.items()})
    parts = (FOUND, "reader=fed.info=read")
    done = feed(stage, world, path, "--parts", *parts, "--out", "whole")
    assert done.returncode == 0, done.stderr
    sums = {i: np.fromfile(f"whole/{i}_1.bin", np.float32).tolist() for i in "ab"}
    assert sums == {"a": [42, 62], "b": [51, 61]}
    again = feed(stage, world, path, "--parts", *parts, "--out", "whole")
    assert "up to date" in again.stderr + again.stdout


def test_links_take_outputs_and_inputs_by_name(stage, world: Path) -> None:
    reader = READER.replace("[2]", "[4]").replace("outputs:", OWN + "outputs:", 1)
    (world / "reader.yaml").write_text(reader)
    path = card(world, "{one: finder.found, two: finder.values}", "{sums: reader.read}")
    done = feed(stage, world, path, "--parts", FOUND, "--to", "reader", "--out", "fed", "fed.info")
    assert done.returncode == 0, done.stderr
    one, two = (np.fromfile(f, np.float32).tolist() for f in read_info("fed.info")[0].files)
    assert (one, two) == ([10, 20, 30, 40], [1, 2, 3, 4])


OWN = "  - {name: two, shape: [4], layout: ND}\n"


@pytest.mark.parametrize(
    ("feeds", "sentence"),
    [
        ("glue.py:wrong", "made two, a dict of one was expected"),
        ("glue.py:nothing", "made no sample of 2"),
        ("glue.py:whole", r"made 'one' of the shape (3,), (2,) was"),
        ("glue.py:absent", "has no callable 'absent'"),
        ("{one: finder.lost}", "has no 'lost'; it has values, found"),
        ("{other: finder.found}", "are other, and its inputs one"),
    ],
)
def test_what_does_not_fit_is_one_sentence(stage, world: Path, feeds: str, sentence: str) -> None:
    path = card(world, feeds)
    done = feed(stage, world, path, "--parts", FOUND, "--to", "reader", "--out", "fed", "fed.info")
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert not (world / "fed.proof.json").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--parts", "finder=prep.info", "--to", "reader"), "PART=INFO=RESULT was expected"),
        (("--parts", "lost=prep.info=found", "--to", "reader"), "PART one of finder, reader"),
        (("--parts", FOUND, "--to", "finder"), "the parts that are fed are reader"),
        (("--parts", FOUND), "a folder alone without it"),
    ],
)
def test_wrong_words(stage, world: Path, words: tuple[str, ...], sentence: str) -> None:
    path = card(world, "glue.py:halves")
    done = feed(stage, world, path, *words, "--out", "fed", "fed.info")
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr


def test_an_id_that_might_be_a_piece_of_another_is_refused() -> None:
    from portproof.metrics.composed.answers import check_ids

    check_ids(["a", "b"], ["a@0", "a@1", "b"])
    with pytest.raises(InputError, match="rename it, without '@'"):
        check_ids(["a", "a@0"], ["a@0", "a"])
