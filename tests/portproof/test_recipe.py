"""Recipes: what is refused, what they say about themselves, and the named ones against the presets
they stand for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from portproof.core.errors import InputError
from portproof.core.yamlfile import names_in
from portproof.recipe import Recipe, Resize, find_recipe, read_recipe, recipe_hash, with_output

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

#: The presets of the imagenet_torch_preprocess.py scripts in circulation: resize, crop,
#: interpolation, mean and std.
PRESETS: dict[str, tuple[int, int, str, Any]] = {
    "resnet": (256, 224, "bilinear", IMAGENET),
    "deit": (256, 224, "bilinear", IMAGENET),
    "hrnet": (256, 224, "bilinear", IMAGENET),
    "mnasnet": (256, 224, "bilinear", IMAGENET),
    "res2net101": (256, 224, "bilinear", IMAGENET),
    "inceptionv3": (342, 299, "bilinear", IMAGENET),
    "inceptionv4": (342, 299, "bilinear", HALF),
    "efficientnetb3": (342, 300, "bilinear", IMAGENET),
    "efficientnetb5": (522, 456, "bilinear", IMAGENET),
    "dpn131_imagenet": (256, 224, "bilinear", IMAGENET),
    "moco_v2": (256, 224, "bicubic", IMAGENET),
    "regnet": (256, 224, "bicubic", IMAGENET),
    "pnasnet": (363, 331, "bicubic", HALF),
}


@pytest.mark.parametrize("name", PRESETS)
def test_named_recipes_are_the_presets(name: str) -> None:
    size, crop, interpolation, (mean, std) = PRESETS[name]
    expected = Recipe(
        name=name,
        resize=Resize(size=(size,), interpolation=interpolation),
        crop=(crop, crop),
        mean=mean,
        std=std,
    )  # type: ignore[arg-type]
    assert find_recipe(name) == expected


def test_every_named_recipe_is_valid_and_bears_its_name() -> None:
    for name in names_in("recipes"):
        assert find_recipe(name).name == name


def test_dpn_statistics_are_timms() -> None:
    constants = pytest.importorskip("timm.data.constants")
    recipe = find_recipe("dpn131")
    assert recipe.mean == pytest.approx(
        constants.IMAGENET_DPN_MEAN
    ) and recipe.std == pytest.approx(constants.IMAGENET_DPN_STD)


def test_uint8_recipes_hold_raw_pixels() -> None:
    for name, size in (("resnet_aipp", (256, 256)), ("se_resnet50_aipp", (256, 256))):
        recipe = find_recipe(name)
        assert (recipe.dtype, recipe.layout, recipe.size, recipe.normalises) == (
            "uint8",
            "NHWC",
            size,
            False,
        )
        assert recipe.nbytes == 256 * 256 * 3


def test_output_can_be_changed() -> None:
    raw = with_output(find_recipe("regnet"), "uint8", "NHWC")
    assert (raw.dtype, raw.shape, raw.normalises, raw.nbytes) == (
        "uint8",
        (224, 224, 3),
        False,
        150528,
    )
    assert with_output(find_recipe("regnet"), "float16").nbytes == 2 * 150528
    assert with_output(find_recipe("regnet")) == find_recipe("regnet")


def test_hash_is_of_what_a_recipe_does() -> None:
    assert recipe_hash(find_recipe("resnet")) == recipe_hash(find_recipe("deit"))
    assert recipe_hash(find_recipe("resnet")) != recipe_hash(find_recipe("regnet"))


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("crop: [224, 224]\nresize: {rule: shorter, size: [256, 256]}\n", 2, "one number"),
        ("resize: {rule: exact, size: [256]}\n", 1, "height and width"),
        ("resize: {size: [256]}\n", 1, "crop"),
        ("crop: [0, 224]\n", 1, ">= 1"),
        ("crop: [224, 224]\nstd: [0.2, 0, 0.2]\n", 2, "> 0"),
        ("crop: [224, 224]\ndtype: int8\n", 2, "int8"),
        ("crop: [224, 224]\ndtype: uint8\n", 2, "raw pixels"),
        ("crop: [224, 224]\nresize: {size: [256], interpolation: area}\n", 2, "area"),
        ("crop: [224, 224]\nresize: {size: [256], interpolation: cubic}\n", 2, "cubic"),
        ("crop: [224, 224]\n\nmeans: [0, 0, 0]\n", 3, "means"),
        ("crop: [224, 224]\nmean: [0.5, 0.5]\n", 2, "length 3"),
        ("crop: [224, 224]\nfill: [0, 0, 256]\n", 2, "<= 255"),
        ("crop: [224, 224]\ncrop: [1, 1]\n", 2, "twice"),
        ("crop: [224, 224\n", 2, "not valid YAML"),
        ("", 1, "object"),
    ],
)
def test_wrong_recipes_are_refused_with_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_recipe(path)
    assert f"line {line}" in str(refused.value) and reason in str(refused.value), refused.value


def test_an_unknown_recipe_lists_the_known() -> None:
    with pytest.raises(InputError, match=r"there is no recipe 'resnext'.*resnet"):
        find_recipe("resnext")
