"""A model and its samples are normalised once, by the same numbers, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from portproof.core.errors import InputError
from portproof.preprocess.pixels.normalisation import (
    FACT,
    check_normalisation,
    from_metadata,
    from_proof,
    normalisation_by,
)
from portproof.proof.sidecar import Proof
from portproof.proof.work import Work
from portproof.recipe import Recipe, Resize, with_output

RECIPE = Recipe(resize=Resize(size=(40,)), crop=(32, 32))


def proof(folder: Path, **facts: Any) -> Proof:
    work = Work("test", folder / "x", inputs={}, parameters={})
    work.begin()
    return work.finish([], facts)


def samples(folder: Path, recipe: Recipe) -> Proof:
    return proof(folder, recipe=msgspec.to_builtins(recipe))


RAW = with_output(RECIPE, dtype="uint8")


@pytest.mark.parametrize(
    ("folded", "recipe"),
    [(False, RECIPE), (True, RAW), (False, with_output(RECIPE, dtype="float16"))],
)
def test_once_is_right(tmp_path: Path, folded: bool, recipe: Recipe) -> None:
    check_normalisation(
        normalisation_by(RECIPE, folded), samples(tmp_path, recipe), "m.onnx", "prep"
    )


def changed(**values: Any) -> Recipe:
    return msgspec.structs.replace(RECIPE, **values)


@pytest.mark.parametrize(
    ("folded", "recipe", "reason"),
    [
        (True, RECIPE, "normalised already.*--dtype uint8"),
        (False, RAW, "holds raw pixels.*--dtype float32"),
        (False, changed(mean=(0.5, 0.5, 0.5)), r"was by \(255.0, \(0.5"),
        (False, changed(channels="BGR"), "takes RGB NCHW, and 'prep' holds BGR NCHW"),
        (True, msgspec.structs.replace(RAW, layout="NHWC"), "holds RGB NHWC"),
    ],
)
def test_twice_never_or_otherwise_is_refused(
    tmp_path: Path, folded: bool, recipe: Recipe, reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        check_normalisation(
            normalisation_by(RECIPE, folded), samples(tmp_path, recipe), "m.onnx", "prep"
        )


def test_a_model_trained_on_raw_pixels_takes_them(tmp_path: Path) -> None:
    raw_float = changed(divide=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    check_normalisation(
        normalisation_by(raw_float, folded=False), samples(tmp_path, RAW), "m.onnx", "prep"
    )


def test_nothing_is_known_of_files_from_elsewhere(tmp_path: Path) -> None:
    check_normalisation(None, samples(tmp_path, RAW), "m.onnx", "prep")
    check_normalisation(normalisation_by(RECIPE, True), None, "m.onnx", "prep")
    check_normalisation(normalisation_by(RECIPE, True), proof(tmp_path), "m.onnx", "prep")
    assert (
        from_proof(None) is None
        and from_proof(proof(tmp_path)) is None
        and from_metadata(None, "m.onnx") is None
    )


def test_records_are_read_back_or_refused(tmp_path: Path) -> None:
    record = normalisation_by(RECIPE, folded=True)
    assert from_metadata(msgspec.json.encode(record).decode(), "m.onnx") == record
    assert from_proof(proof(tmp_path, **{FACT: msgspec.to_builtins(record)})) == record
    with pytest.raises(InputError, match=r"m\.onnx.*cannot be read"):
        from_metadata("{", "m.onnx")
    with pytest.raises(InputError, match="cannot be read"):
        from_proof(proof(tmp_path, **{FACT: {"where": "nowhere"}}))


def test_a_foreign_file_says_nothing(tiny_onnx: Path) -> None:
    from portproof.convert.onnxfile.inherit import normalisation_fact

    assert normalisation_fact(tiny_onnx) == {}
