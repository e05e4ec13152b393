"""Pillow's resize of what the crop keeps, against its resize of the whole image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portproof.preprocess.pixels import cropped
from portproof.preprocess.pixels.pillow_images import crop_resized
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize

from ..conftest import encoded, picture


@settings(deadline=None, max_examples=300)
@given(
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    new=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    crop=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    filters=st.sampled_from(list(cropped.SUPPORT)),
)
def test_any_size_has_the_bits_of_the_whole_resize(
    height: int, width: int, new: tuple[int, int], crop: tuple[int, int], filters: Any
) -> None:
    levels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    resize = Resize(rule="exact", size=new, interpolation=filters)
    recipe = Recipe(resize=resize, crop=crop, fill=(1, 2, 3))
    image = Image.fromarray(levels)
    assert np.array_equal(cropped.crop_resized_first(image, recipe), crop_resized(image, recipe))


def test_only_what_is_kept_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide image in two passes; a tall one, which Pillow 13 resizes vertically first, whole."""
    seen: list[tuple[int, int]] = []
    resize = Image.Image.resize

    def noted(self: Image.Image, size: tuple[int, int], *rest: Any) -> Image.Image:
        seen.append(size)
        return resize(self, size, *rest)

    monkeypatch.setattr(Image.Image, "resize", noted)
    recipe = Recipe(resize=Resize(size=(100,)), crop=(50, 50))
    cropped.crop_resized_first(Image.fromarray(picture(200, 300)), recipe)
    cropped.crop_resized_first(Image.fromarray(picture(500, 200)), recipe)
    (wide, band), across, tall = seen
    assert wide == 150 and 100 < band < 110
    assert across == (50, 100) and tall == (100, 250)


@pytest.fixture
def untried() -> Iterator[None]:
    """As in a new process."""
    cropped.crops_first.cache_clear()
    yield
    cropped.crops_first.cache_clear()


def test_another_pillow_resizes_the_whole_image(
    untried: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if its two passes had other bits than its whole resize."""
    honest = cropped.crop_resized_first
    monkeypatch.setattr(cropped, "crop_resized_first", lambda *given: honest(*given) ^ 1)
    assert not cropped.crops_first()
    recipe = Recipe(resize=Resize(size=(64,)), crop=(50, 50))
    data = encoded(Image.fromarray(picture(90, 130)), "PNG")
    whole = Preprocessor(recipe, use_compiled=False)(data)[0]
    monkeypatch.undo()
    cropped.crops_first.cache_clear()
    assert cropped.crops_first()
    assert np.array_equal(Preprocessor(recipe, use_compiled=False)(data)[0], whole)
