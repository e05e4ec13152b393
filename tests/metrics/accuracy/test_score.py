"""What is checked before results are scored, and what a sidecar says of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import Reading, score
from portproof.proof.work import Work

CLASSES = 4


def results(folder: Path, outputs: int = 1) -> Path:
    """Two samples; every output is a number for every class."""
    folder.mkdir()
    for name in "ab":
        for output in range(1, outputs + 1):
            np.arange(CLASSES, dtype="<f4").tofile(folder / f"{name}_{output}.bin")
    return folder


def labels(path: Path, *classes: int) -> Path:
    pairs = zip("ab", classes, strict=True)
    path.write_text("".join(f"{name}.jpg {number}\n" for name, number in pairs))
    return path


def test_the_last_class_is_a_class_and_the_next_is_none(tmp_path: Path) -> None:
    folder = results(tmp_path / "r")
    found = score(folder, labels(tmp_path / "last.txt", CLASSES - 1, 0))
    assert found.outcomes.rank.tolist() == [1, CLASSES]
    with pytest.raises(InputError, match=r"1 of 2 labels .* outside the classes 0 to 3"):
        score(folder, labels(tmp_path / "next.txt", CLASSES, 0))


@pytest.mark.parametrize("shape", [[CLASSES, 3], [1, 2, 2]])
def test_the_shape_that_the_sidecar_states_is_of_the_chosen_output(
    tmp_path: Path, shape: list[int]
) -> None:
    folder, truth = results(tmp_path / "r", outputs=3), labels(tmp_path / "l.txt", 0, 1)
    facts = {"outputs": [{"shape": [CLASSES]}, {"shape": shape}, {"shape": [CLASSES]}]}
    Work("infer", folder, inputs={}, parameters={}).finish([], facts=facts)
    for plain in (1, 3):
        assert score(folder, truth, Reading(output=plain)).classes == CLASSES
    with pytest.raises(InputError, match=r"output 2 .* Top-N is for classifiers"):
        score(folder, truth, Reading(output=2))
    facts["outputs"].reverse()
    facts["outputs"][0] = {"shape": shape}
    Work("infer", folder, inputs={}, parameters={}).finish([], facts=facts)
    with pytest.raises(InputError, match=r"output 1 .* Top-N is for classifiers"):
        score(folder, truth, Reading(output=1))


@pytest.mark.parametrize("shape", [["batch", CLASSES], [None, 2, 2], "(4,)", None])
def test_a_shape_that_is_no_list_of_sizes_says_nothing(tmp_path: Path, shape: Any) -> None:
    folder, truth = results(tmp_path / "r"), labels(tmp_path / "l.txt", 0, 1)
    Work("infer", folder, inputs={}, parameters={}).finish(
        [], facts={"outputs": [{"shape": shape}]}
    )
    assert score(folder, truth).classes == CLASSES


@pytest.mark.parametrize("held", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_called_by_its_name(tmp_path: Path, held: float) -> None:
    folder, truth = results(tmp_path / "r"), labels(tmp_path / "l.txt", 3, 1)
    np.full(CLASSES, held, "<f4").tofile(folder / "b_1.bin")
    names = {"nan": "NaN", "inf": r"\+inf", "-inf": "only -inf"}
    with pytest.raises(InputError, match=rf"1 of 2 results hold {names[str(held)]} \(b_1.bin\)"):
        score(folder, truth)


def test_what_was_read_is_hashed_where_it_is_asked_for(tmp_path: Path) -> None:
    folder, truth = results(tmp_path / "r"), labels(tmp_path / "l.txt", 3, 1)
    (folder / "b_1.bin").write_bytes(np.array([5, 1, 2, 3], "<f4").tobytes())
    read = b"".join((folder / f"{name}_1.bin").read_bytes() for name in "ab")
    assert score(folder, truth).sha256 is None
    assert score(folder, truth, digest=True).sha256 == hashlib.sha256(read).hexdigest()


@pytest.mark.parametrize("is_listed", [True, False])
@pytest.mark.parametrize("proven", [True, False])
def test_inputs_are_the_sidecar_the_listing_and_the_reading(
    tmp_path: Path, is_listed: bool, proven: bool
) -> None:
    folder = results(tmp_path / "r")
    if proven:
        Work("infer", folder, inputs={}, parameters={}).finish([])
    found = list_results(folder, None)
    files, parameters = Reading().inputs("port", found, *(() if is_listed else (False,)))
    assert files == ({"port": [tmp_path / "r.proof.json"]} if proven else {})
    listing = {"port files": found.listing_digest()} if is_listed else {}
    read = {"dtype": "float32", "classes": None, "output": None, "allow_missing": False}
    assert parameters == listing | {"port reading": read}
