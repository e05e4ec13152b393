"""Every bit against timm's and torchvision's own transforms on ``Image.open(file).convert("RGB")``,
on both paths.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portproof.core.errors import InputError
from portproof.preprocess.cards.resolve import resolve_card
from portproof.preprocess.cards.timm_cards import recipe_of_config
from portproof.preprocess.pixels.pillow_images import vertical_first
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize, with_output

from ..conftest import encoded, picture

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

Transform = Callable[[Image.Image], Any]

#: One model of each kind of timm recipe: centre crops by several percentages, squash, border, not
#: square, other statistics.
TIMM = (
    "regnety_016.pycls_in1k",
    "resnet50.a1_in1k",
    "vit_base_patch16_224",
    "inception_v4",
    "coat_lite_medium_384.in1k",
)
TORCHVISION = ("resnet50", "resnet18", "efficientnet_b0", "efficientnet_b3")

#: timm data configurations that few published models have.
CONFIGURATIONS = (
    {
        "crop_mode": "border",
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "input_size": (3, 96, 96),
        "mean": (0.4, 0.5, 0.6),
    },
    {
        "crop_mode": "border",
        "crop_pct": 1.0,
        "interpolation": "lanczos",
        "input_size": (3, 64, 100),
    },
    {
        "crop_mode": "squash",
        "crop_pct": 0.875,
        "interpolation": "bilinear",
        "input_size": (3, 120, 64),
    },
    {
        "crop_mode": "center",
        "crop_pct": 0.9,
        "interpolation": "bicubic",
        "input_size": (3, 64, 128),
    },
    {
        "crop_mode": "center",
        "crop_pct": 1.0,
        "interpolation": "box",
        "input_size": (3, 97, 97),
        "std": (0.1, 0.2, 0.3),
    },
    {"crop_mode": "center", "crop_pct": 0.5, "interpolation": "hamming", "input_size": (3, 33, 33)},
    {
        "crop_mode": "center",
        "crop_pct": 0.95,
        "interpolation": "nearest",
        "input_size": (3, 50, 50),
    },
)


def assert_same_bits(recipe: Recipe, reference: Transform, files: dict[str, bytes]) -> None:
    """Both paths against the reference; where the reference itself fails, we refuse."""
    paths = [Preprocessor(recipe), Preprocessor(recipe, use_compiled=False)]
    for kind, data in files.items():
        try:
            expected = np.asarray(reference(Image.open(io.BytesIO(data)).convert("RGB")))
        except ValueError:
            for preprocessor in paths:
                with pytest.raises(InputError):
                    preprocessor(data)
            continue
        for preprocessor in paths:
            sample, _ = preprocessor(data)
            assert sample.dtype == np.float32
            assert np.array_equal(sample.view(np.int32), expected.view(np.int32)), (
                f"{kind} by {preprocessor.core}"
            )


def timm_transform(config: dict[str, Any]) -> Transform:
    resolved = timm.data.resolve_data_config(pretrained_cfg=config)
    return timm.data.create_transform(**resolved, is_training=False)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", TIMM)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_timm_recipes_equal_timm(name: str, kinds: dict[str, bytes]) -> None:
    config = dataclasses.asdict(timm.models.get_pretrained_cfg(name))
    assert_same_bits(resolve_card(f"timm:{name}").preprocessing, timm_transform(config), kinds)


@pytest.mark.parametrize(
    "config", CONFIGURATIONS, ids=lambda c: f"{c['crop_mode']}-{c['interpolation']}"
)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_rare_timm_configurations_equal_timm(
    config: dict[str, Any], kinds: dict[str, bytes]
) -> None:
    assert_same_bits(recipe_of_config(config, "test"), timm_transform(config), kinds)


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_torchvision_recipes_equal_the_preset(name: str, kinds: dict[str, bytes]) -> None:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    assert_same_bits(resolve_card(f"torchvision:{name}").preprocessing, weights.transforms(), kinds)


def test_every_published_timm_recipe_on_one_image() -> None:
    """All different recipes of timm's published models: their geometry and statistics, on an image
    small enough to be quick.
    """
    data = {"jpeg": encoded(Image.fromarray(picture(61, 83)), "JPEG")}
    seen: dict[Recipe, dict[str, Any]] = {}
    for name in timm.list_models(pretrained=True):
        config = dataclasses.asdict(timm.models.get_pretrained_cfg(name))
        recipe = recipe_of_config(config, name)
        if recipe.size[0] * recipe.size[1] <= 300 * 300:
            seen.setdefault(recipe, config)
    assert len(seen) > 50
    for recipe, config in seen.items():
        assert_same_bits(recipe, timm_transform(config), data)


def test_real_photographs_equal_timm(shared: Path) -> None:
    config = dataclasses.asdict(timm.models.get_pretrained_cfg("regnety_016.pycls_in1k"))
    files = {path.name: path.read_bytes() for path in sorted((shared / "images").glob("*.JPEG"))}
    assert len(files) > 100
    assert_same_bits(resolve_card("regnety_016").preprocessing, timm_transform(config), files)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 300),
    width=st.integers(1, 300),
    size=st.integers(1, 150),
    crop=st.tuples(st.integers(1, 160), st.integers(1, 160)),
    interpolation=st.sampled_from(["bilinear", "bicubic", "lanczos", "box", "hamming"]),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
)
def test_any_size_equals_torchvision(
    height: int,
    width: int,
    size: int,
    crop: tuple[int, int],
    interpolation: Any,
    subsampling: int,
    progressive: bool,
) -> None:
    from torchvision import transforms

    recipe = Recipe(resize=Resize(size=(size,), interpolation=interpolation), crop=crop)
    mode = transforms.InterpolationMode(interpolation)
    reference = transforms.Compose(
        [
            transforms.Resize(size, interpolation=mode),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std),
        ]
    )
    data = encoded(
        Image.fromarray(picture(height, width)),
        "JPEG",
        subsampling=subsampling,
        progressive=progressive,
    )
    assert_same_bits(recipe, reference, {"jpeg": data})


@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_other_outputs_follow_from_the_pixels(
    dtype: Any, layout: Any, channels: Any, kinds: dict[str, bytes]
) -> None:
    """Against arithmetic on the pixels that Pillow alone makes, written as the scripts in
    circulation write it.
    """
    recipe = with_output(
        Recipe(resize=Resize(size=(64,)), crop=(56, 70), fill=(10, 200, 30), channels=channels),
        dtype,
        layout,
    )
    image = Image.open(io.BytesIO(kinds["jpeg 4:2:0"]))
    resized = image.resize((int(64 * image.width / image.height), 64), Image.Resampling.BILINEAR)
    top, left = round((64 - 56) / 2.0), round((resized.width - 70) / 2.0)
    pixels = np.asarray(resized)[top : top + 56, left : left + 70]
    if channels == "BGR":
        pixels = pixels[:, :, ::-1]
    values = (
        pixels
        if dtype == "uint8"
        else (
            (pixels.astype(np.float32) / np.float32(255) - np.float32(recipe.mean))
            / np.float32(recipe.std)
        )
    )
    expected = values.astype(dtype)
    if layout == "NCHW":
        expected = expected.transpose(2, 0, 1)
    for use_compiled in (True, False):
        sample, _ = Preprocessor(recipe, use_compiled)(kinds["jpeg 4:2:0"])
        assert sample.flags.c_contiguous and sample.dtype == dtype and sample.shape == recipe.shape
        assert np.array_equal(sample, expected)


def test_padding_is_filled(kinds: dict[str, bytes]) -> None:
    recipe = Recipe(
        crop=(4, 6),
        fill=(1, 2, 3),
        divide=1,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype="uint8",
        layout="NHWC",
    )
    for use_compiled in (True, False):
        sample, _ = Preprocessor(recipe, use_compiled)(kinds["bmp one pixel"])
        assert sample[1, 2].tolist() == picture(1, 1)[0, 0].tolist()
        sample[1, 2] = (1, 2, 3)
        assert (sample == (1, 2, 3)).all()


@settings(deadline=None, max_examples=150)
@given(st.integers(2, 500), st.integers(2, 900), st.integers(2, 400), st.integers(2, 400))
def test_pass_order_of_the_installed_pillow(
    width: int, height: int, new_width: int, new_height: int
) -> None:
    """Wherever the compiled core is used, this Pillow runs the horizontal pass first."""
    if vertical_first(height, width, new_height, new_width):
        return
    image = Image.fromarray(
        np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )
    two_passes = image.resize((new_width, height), Image.Resampling.BICUBIC).resize(
        (new_width, new_height), Image.Resampling.BICUBIC
    )
    assert np.array_equal(
        np.asarray(image.resize((new_width, new_height), Image.Resampling.BICUBIC)),
        np.asarray(two_passes),
    )


def test_a_line_of_2000_pixels_equals_timm() -> None:
    config = {"input_size": (3, 112, 112), "crop_pct": 0.875, "interpolation": "bicubic"}
    data = {
        "column": encoded(Image.fromarray(picture(2000, 1)), "PNG"),
        "row": encoded(Image.fromarray(picture(1, 2000)), "PNG"),
    }
    assert_same_bits(recipe_of_config(config, "test"), timm_transform(config), data)


def test_enormous_intermediate_images_are_refused() -> None:
    recipe = Recipe(resize=Resize(size=(256,)), crop=(224, 224))
    data = encoded(Image.new("RGB", (20000, 1)), "PNG")
    for use_compiled in (True, False):
        with pytest.raises(InputError, match=r"20000 x 1.*1311 megapixels"):
            Preprocessor(recipe, use_compiled)(data)
