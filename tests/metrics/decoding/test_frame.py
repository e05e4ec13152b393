"""Where an image lies in a model's input, against the formulas of those who put it there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Sample
from portproof.metrics.decoding.frame import placement
from portproof.postprocess import Frame
from portproof.recipe import Recipe, Resize

SIDES = st.integers(16, 3000)
PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1)}


def recipe(rule: str, size: tuple[int, ...], crop: tuple[int, int] | None) -> Recipe:
    return Recipe(resize=Resize(rule=rule, size=size), crop=crop, **PLAIN)  # type: ignore[arg-type]


@given(SIDES, SIDES, st.integers(32, 1300), st.integers(32, 1300))
def test_yolox_puts_it_into_the_upper_left_corner(h: int, w: int, height: int, width: int) -> None:
    """``preproc``: r = min(...), sides int(side * r); boxes are divided by r."""
    frame = Frame(rule="letterbox", place="top_left", rounding="truncate", ratio=True)
    r = min(height / h, width / w)
    if min(int(h * r), int(w * r)) < 1:
        return
    found = placement(Sample("a", (h, w), (height, width)), frame)
    assert found.inner == (0, 0, int(h * r), int(w * r))
    boxes = np.array([[1.0, 2.0, 0.5 * width, 0.5 * height]])
    wanted = np.clip(boxes / r, 0, [w, h, w, h])
    assert found.undo_boxes(boxes) == pytest.approx(wanted, rel=1e-12)


@given(SIDES, SIDES, st.booleans())
def test_ultralytics_puts_it_into_the_middle(h: int, w: int, upscale: bool) -> None:
    """``LetterBox``: sides round(side * r), padding round(half - 0.1) before it."""
    r = min(640 / h, 640 / w)
    r = r if upscale else min(r, 1.0)
    new_h, new_w = round(h * r), round(w * r)
    if min(new_h, new_w) < 1:
        return
    top, left = round((640 - new_h) / 2 - 0.1), round((640 - new_w) / 2 - 0.1)
    frame = Frame(rule="letterbox", size=(640, 640), upscale=upscale)
    found = placement(Sample("a", (h, w)), frame)
    assert found.inner == (top, left, top + new_h, left + new_w)
    assert found.scale == (new_h / h, new_w / w)


@given(SIDES, SIDES)
def test_a_box_that_is_put_in_and_taken_out_is_the_same(h: int, w: int) -> None:
    """By a recipe of the rule 'contain', which the resize makes and the crop fills up (timm)."""
    if max(h, w) / min(h, w) > 100:
        return
    ratio = max(h / 320, w / 480)
    new_h, new_w = round(h / ratio), round(w / ratio)
    top, left = (320 - new_h) // 2, (480 - new_w) // 2
    boxes = np.array([[0.0, 0.0, w, h], [w * 0.25, h * 0.5, w * 0.75, h * 0.625]])
    placed = boxes * np.tile([new_w / w, new_h / h], 2) + np.tile([left, top], 2)
    sample = Sample("a", (h, w), (320, 480), recipe("contain", (320, 480), (320, 480)))
    assert placement(sample, None).undo_boxes(placed) == pytest.approx(boxes, rel=1e-9, abs=1e-9)


@given(SIDES, SIDES)
def test_a_crop_hides_what_is_outside(h: int, w: int) -> None:
    """torchvision: shorter side to 256, centre crop of 224."""
    short = min(h, w)
    new_h, new_w = (int(256 * h / short), 256) if w <= h else (256, int(256 * w / short))
    top, left = round((new_h - 224) / 2.0), round((new_w - 224) / 2.0)
    sample = Sample("a", (h, w), (224, 224), recipe("shorter", (256,), (224, 224)))
    found = placement(sample, None).undo_points(np.array([[0.0, 0.0]]))
    assert found[0] == pytest.approx([left * w / new_w, top * h / new_h])


@pytest.mark.parametrize(
    ("sample", "frame", "sentence"),
    [
        (Sample("a", (10, 10)), None, "is not known: give 'frame'"),
        (Sample("a"), Frame(rule="stretch"), "does not say the size of the image 'a'"),
        (Sample("a", (10, 10)), Frame(rule="letterbox"), "size of the model's input is not known"),
        (Sample("a", (5000, 2), (64, 64)), Frame(rule="letterbox"), "vanishes"),
        (
            Sample("a", (100, 50), (64, 64), recipe("exact", (64, 64), None)),
            Frame(rule="letterbox"),
            "the card's recipe does otherwise .*16 pixels elsewhere",
        ),
    ],
)
def test_what_is_not_known_is_refused(sample: Sample, frame: Frame | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        placement(sample, frame)


def test_a_frame_that_says_what_the_recipe_does_is_taken() -> None:
    sample = Sample("a", (99, 50), (64, 64), recipe("contain", (64, 64), (64, 64)))
    assert placement(sample, Frame(rule="letterbox")) == placement(sample, None)


def test_pixels_of_a_real_image_come_back(tmp_path: Path) -> None:
    """A bright rectangle, put in by the preprocessing itself, is found where it was."""
    image = pytest.importorskip("PIL.Image")
    from portproof.preprocess.pixels.transform import Preprocessor

    levels = np.zeros((120, 200, 3), np.uint8)
    levels[40:80, 100:180] = 255
    image.fromarray(levels).save(tmp_path / "a.png")
    made = recipe("contain", (64, 64), (64, 64))
    array = Preprocessor(made)((tmp_path / "a.png").read_bytes())[0]
    rows, columns = np.nonzero(np.asarray(array)[0] > 0.5)
    box = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float64)
    found = placement(Sample("a", (120, 200), (64, 64), made), None).undo_boxes(box)
    assert found[0] == pytest.approx([100, 40, 180, 80], abs=200 / 64)


@pytest.mark.parametrize("place", ["centre", "top_left"])
@given(SIDES, SIDES)
def test_a_recipe_that_letterboxes_and_a_frame_agree(place: Any, h: int, w: int) -> None:
    if max(h, w) / min(h, w) > 100:
        return
    made = Recipe(
        resize=Resize(rule="letterbox", size=(320, 480), rounding="half_even"),
        crop=(320, 480),
        place=place,
        **PLAIN,
    )
    frame = Frame(rule="letterbox", place=place)
    by_recipe = placement(Sample("a", (h, w), (320, 480), made), None)
    assert placement(Sample("a", (h, w), (320, 480)), frame) == by_recipe
