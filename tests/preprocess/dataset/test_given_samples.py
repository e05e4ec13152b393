"""Samples that are ready: how the inputs of one sample find each other, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from portproof.card import Card, Input, Output
from portproof.core.errors import InputError
from portproof.manifest import read_info
from portproof.preprocess.dataset.given_samples import take_samples
from portproof.proof.sidecar import proof_of

CARD = Card(
    name="words",
    builder="net.py:build",
    inputs=(
        Input(name="ids", shape=(4,), dtype="int64", layout="N"),
        Input(name="mask", shape=(4,), dtype="uint8", layout="N"),
    ),
    outputs=(Output(name="class", shape=(2,)),),
)
NAMES = ("a", "b", "c")


def ids_of(name: str) -> bytes:
    return np.full(4, ord(name), np.int64).tobytes()


def mask_of(name: str) -> bytes:
    return np.full(4, ord(name), np.uint8).tobytes()


@pytest.fixture
def given(tmp_path: Path) -> Path:
    for folder, make in (("ids", ids_of), ("mask", mask_of)):
        (tmp_path / folder).mkdir()
        for name in NAMES:
            (tmp_path / folder / f"{name}.bin").write_bytes(make(name))
    lines = {
        "both.info": [(i, f) for i, n in enumerate(NAMES) for f in (f"ids/{n}", f"mask/{n}")],
        "ids.info": [(i, f"ids/{n}") for i, n in enumerate(NAMES)],
        # another order: joined by name, not by place
        "mask.info": [(i, f"mask/{n}") for i, n in enumerate(reversed(NAMES))],
    }
    for name, rows in lines.items():
        (tmp_path / name).write_text("".join(f"{i} {file}.bin\n" for i, file in rows))
    return tmp_path


@pytest.mark.parametrize(
    "names", [["both.info"], ["ids.info", "mask.info"], ["ids", "mask"], ["ids", "mask.info"]]
)
def test_every_form_gives_the_same_folder_and_list(given: Path, names: list[str]) -> None:
    folder, info = given / "prep", given / "prep.info"
    take_samples([given / name for name in names], given, CARD, folder, info)
    samples = read_info(info)
    assert [s.id for s in samples] == list(NAMES)
    for sample in samples:
        first, second = map(Path, sample.files)
        assert (first.name, second.name) == (f"{sample.id}.bin", f"{sample.id}.2.bin")
        assert (first.read_bytes(), second.read_bytes()) == (ids_of(sample.id), mask_of(sample.id))
    proof = proof_of(folder)
    assert proof is not None and proof.facts["samples"] == 3
    assert len(proof.inputs["samples"]) == len(proof.outputs) == 6
    written = (folder / "a.bin").stat().st_mtime_ns
    take_samples([given / name for name in names], given, CARD, folder, info)
    assert (folder / "a.bin").stat().st_mtime_ns == written  # nothing is done twice


def test_a_changed_sample_is_taken_again(given: Path) -> None:
    folder, info = given / "prep", given / "prep.info"
    take_samples([given / "both.info"], given, CARD, folder, info)
    (given / "ids/b.bin").write_bytes(ids_of("x"))
    take_samples([given / "both.info"], given, CARD, folder, info)
    assert (folder / "b.bin").read_bytes() == ids_of("x")


def short(given: Path) -> list[str]:
    (given / "mask/b.bin").write_bytes(b"123")
    return ["both.info"]


def missing(given: Path) -> list[str]:
    (given / "mask/b.bin").unlink()
    return ["both.info"]


def others(given: Path) -> list[str]:
    (given / "mask/b.bin").rename(given / "mask/d.bin")
    return ["ids", "mask"]


def blanks(given: Path) -> list[str]:
    for folder in ("ids", "mask"):
        (given / folder / "b.bin").rename(given / folder / "b b.bin")
    return ["ids", "mask"]


def empty(given: Path) -> list[str]:
    (given / "none").mkdir()
    return ["ids", "none"]


def twice(given: Path) -> list[str]:
    (given / "mask/b.2.bin").write_bytes(mask_of("b"))
    return ["ids", "mask"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda given: ["ids"], "have 1 files each, the model card 'words' has 2 inputs"),
        (short, "has 3 bytes, and one sample of the input 'mask' has 4 (uint8, 4)"),
        (missing, "mask/b.bin"),
        (others, "do not hold the same samples: 2 are in one only (b, d)"),
        (blanks, "1 samples have blanks in their names (b b)"),
        (empty, "holds no .bin files"),
        (twice, "1 sample ids belong to more than one file"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    given: Path, make: object, said: str
) -> None:
    names = make(given)  # type: ignore[operator]
    with pytest.raises(InputError) as error:
        take_samples([given / n for n in names], given, CARD, given / "prep", given / "p.info")
    assert said in str(error.value)
    assert not (given / "prep").exists() and not (given / "p.info").exists()
