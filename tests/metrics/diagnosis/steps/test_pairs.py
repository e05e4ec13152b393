"""Two mistakes of one resize: the size is looked for again beside the filter."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from msgspec.structs import replace as with_other

from portproof.metrics.diagnosis.candidates import Candidate, Found
from portproof.metrics.diagnosis.preprocessing import Preprocessing
from portproof.metrics.diagnosis.steps.pairs import _other_sizes
from portproof.preprocess.mistakes.mistake import Mistake
from portproof.preprocess.mistakes.pictures import before_the_crop
from portproof.recipe import Recipe, Resize


def test_sizes_near_the_one_that_fits_alone_are_tried_with_the_filter() -> None:
    recipe = Recipe(resize=Resize(size=(36,), interpolation="bicubic"), crop=(32, 32))
    first = before_the_crop(recipe, 34)
    assert first.recipe.resize is not None
    boxed = with_other(first.recipe, resize=with_other(first.recipe.resize, interpolation="box"))
    second = Mistake("interpolation", "pillow bicubic", "pillow box", boxed, "interpolation")
    tried: list[Mistake] = []

    def of(mistake: Mistake, rows: Any) -> list[Found]:
        tried.append(mistake)
        return [Found(Candidate("interpolation", 0.5, "", ""), mistake=mistake)]

    tries = cast("Preprocessing", SimpleNamespace(of=of))
    both = Found(Candidate("interpolation", 0.5, "", ""), mistake=second)
    pairs = list(_other_sizes(tries, first, both, np.arange(2)))
    assert [m.recipe.resize.size[0] for m in tried if m.recipe.resize] == list(range(32, 41))
    assert all(m.recipe.resize and m.recipe.resize.interpolation == "box" for m in tried)
    assert {m.found for m in tried} == {"pillow box"}
    assert [(one.found, one.asked) for one, _ in pairs] == [(str(n), "36") for n in range(32, 41)]
    assert all(
        one.recipe.resize.interpolation == "bicubic" for one, _ in pairs if one.recipe.resize
    )

    other = replace(first, fault="gamma")
    assert list(_other_sizes(tries, other, both, np.arange(2))) == []
