"""What a converted model's sidecar says of the normalisation."""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from portproof.convert.onnxfile.inherit import normalisation_fact
from portproof.core.errors import InputError
from portproof.preprocess.pixels.normalisation import FACT, METADATA_KEY, normalisation_by
from portproof.proof.work import Work
from portproof.recipe import Recipe

RECIPE = Recipe(crop=(8, 8), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2))


def model(folder: Path, folded: bool | None) -> Path:
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in ("x", "y")]
    proto = helper.make_model(
        helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    )
    if folded is not None:
        helper.set_model_props(
            proto, {METADATA_KEY: msgspec.json.encode(normalisation_by(RECIPE, folded)).decode()}
        )
    onnx.save(proto, folder / "m.onnx")
    return folder / "m.onnx"


def aipp(folder: Path) -> Path:
    path = folder / "aipp.cfg"
    work = Work("aipp", path, inputs={}, parameters={})
    work.begin()
    path.write_text("aipp_op {}\n")
    work.finish([path], {FACT: msgspec.to_builtins(normalisation_by(RECIPE, folded=True))})
    return path


def test_it_says_what_the_onnx_file_says(tmp_path: Path) -> None:
    assert normalisation_fact(model(tmp_path, folded=True))[FACT]["where"] == "in the model"
    assert normalisation_fact(model(tmp_path, folded=False))[FACT]["where"] == "in the input"
    assert normalisation_fact(model(tmp_path, folded=None)) == {}


def test_aipp_moves_the_normalisation_into_the_model(tmp_path: Path) -> None:
    found = normalisation_fact(model(tmp_path, folded=False), aipp(tmp_path))[FACT]
    assert (found["where"], found["mean"]) == ("in the model", (0.5, 0.4, 0.3))


def test_a_model_is_not_normalised_twice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="normalises its input already"):
        normalisation_fact(model(tmp_path, folded=True), aipp(tmp_path))
