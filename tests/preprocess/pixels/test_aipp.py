"""``preprocess/aipp.py``: its text computes what the recipe computes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from portproof.core.errors import InputError
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.pixels.aipp_file import aipp_config
from portproof.preprocess.pixels.normalisation import from_proof
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.proof.sidecar import proof_of
from portproof.recipe import find_recipe, with_output

from ..conftest import encoded, picture

Stage = Callable[..., subprocess.CompletedProcess[str]]


def settings_of(text: str) -> dict[str, str]:
    """The keys and values of an ``aipp_op { key : value }`` block."""
    body = re.fullmatch(r"aipp_op \{\n((?: {4}\w+ : [\w.]+\n)+)\}\n", text)
    assert body, text
    pairs = [line.strip().split(" : ") for line in body.group(1).splitlines()]
    assert len({key for key, _ in pairs}) == len(pairs)
    return dict(pairs)  # type: ignore[arg-type]


def apply(settings: dict[str, str], stored: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """What the AIPP documentation says the device computes, in double precision: NHWC uint8 in,
    NCHW out.
    """
    height, width = int(settings["src_image_size_h"]), int(settings["src_image_size_w"])
    image = stored.reshape(height, width, 3).astype(np.float64)
    if settings.get("crop") == "true":
        top, left = int(settings["load_start_pos_h"]), int(settings["load_start_pos_w"])
        image = image[
            top : top + int(settings["crop_size_h"]), left : left + int(settings["crop_size_w"])
        ]
    low = np.array([float(settings[f"min_chn_{c}"]) for c in range(3)])
    factor = np.array([float(settings[f"var_reci_chn_{c}"]) for c in range(3)])
    return ((image - low) * factor).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("model", "prepared"),
    [("regnety_016", None), ("vit_base_patch16_224", None), ("resnet50", "resnet_aipp")],
)
@pytest.mark.parametrize("size", [(375, 500), (500, 333), (401, 400)])
def test_it_normalises_as_the_recipe(
    model: str, prepared: str | None, size: tuple[int, int]
) -> None:
    recipe = resolve_card(model).preprocessing
    files = find_recipe(prepared) if prepared else with_output(recipe, "uint8", "NHWC")
    settings = settings_of(aipp_config(recipe, files))
    data = encoded(Image.fromarray(picture(*size)), "JPEG")
    device = apply(settings, Preprocessor(files)(data)[0])
    np.testing.assert_allclose(device, Preprocessor(recipe)(data)[0], rtol=0, atol=1e-5)
    assert settings["aipp_mode"] == "static" and settings["input_format"] == "RGB888_U8"


def test_the_file_and_what_its_sidecar_says(stage: Stage, tmp_path: Path) -> None:
    done = stage("preprocess/aipp.py", "--model", "resnet50", "--out", "aipp.config", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "aipp.config").read_text()
    assert text == stage("preprocess/aipp.py", "--model", "resnet50", cwd=tmp_path).stdout
    assert settings_of(text)["min_chn_0"] == "123.675"
    said = from_proof(proof_of(tmp_path / "aipp.config"))
    assert said is not None and (said.where, said.layout) == ("in the model", "NHWC")


@pytest.mark.parametrize(
    ("card", "prepared", "reason"),
    [
        ("shufflenetv2plus", "resnet_aipp", "no normalisation"),
        ("regnet", "resnet", "reads uint8 NHWC"),
        ("regnet", "resnet_aipp", "another resize"),
        ("resnet", "se_resnet50_aipp", "another decoder"),
    ],
)
def test_what_does_not_fit_is_refused(card: str, prepared: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        aipp_config(find_recipe(card), find_recipe(prepared))
