"""The list of usual mistakes: each differs from the recipe and from the others, for every recipe
that is shipped.
"""

from __future__ import annotations

import dataclasses
import io

import msgspec
import numpy as np
import pytest
from PIL import Image

from portproof.core.yamlfile import names_in
from portproof.preprocess.mistakes.usual import usual_mistakes
from portproof.recipe import Recipe, Resize, find_recipe


@pytest.mark.parametrize("name", names_in("recipes"))
def test_every_mistake_is_one_and_none_is_twice(name: str) -> None:
    right = find_recipe(name)
    mistakes = list(usual_mistakes(right))
    effects = [(msgspec.structs.replace(m.recipe, name=""), m.changes) for m in mistakes]
    assert len(set(effects)) == len(effects)
    assert (msgspec.structs.replace(right, name=""), ()) not in effects
    faults = {m.fault for m in mistakes} - {None}
    assert all(m.fix for m in mistakes)  # every fault has its own way out
    geometry = {"interpolation", "resize-crop"} if right.resize else set()
    assert {"channel-order", "layout"} | geometry <= faults
    if right.dtype != "uint8":  # raw pixels cannot be normalised wrongly
        assert "normalisation-constants" in faults
        shifts = (right.mean, right.std) != ((0.0,) * 3, (1.0,) * 3)
        assert ("normalisation-twice" in faults) is shifts


@pytest.mark.parametrize("name", names_in("recipes"))
def test_a_mistake_that_a_model_is_run_with_makes_samples_of_its_size(name: str) -> None:
    right = find_recipe(name)
    for mistake in usual_mistakes(right):
        if mistake.fault is not None:
            assert mistake.recipe.nbytes == right.nbytes, mistake


def test_any_mistake_can_be_made_on_top_of_another() -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    right = Recipe(resize=Resize(size=(10,)), crop=(8, 8))
    firsts = {m.fault: m for m in usual_mistakes(right) if m.fault}
    for first in firsts.values():
        for second in usual_mistakes(first.recipe):
            both = dataclasses.replace(second, changes=first.changes + second.changes)
            assert both.apply(buffer.getvalue()).size == 3 * 8 * 8
