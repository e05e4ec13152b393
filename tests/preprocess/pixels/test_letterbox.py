"""Letterboxes equal the formulas of Ultralytics, YOLOX and mmdetection, written out with OpenCV."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from portproof.core.errors import InputError
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize, find_recipe, read_recipe

SIDES = st.integers(1, 90)


def ultralytics(bgr, shape, scaleup=True):
    """``ultralytics/data/augment.py``, ``LetterBox.__call__`` with auto=False, center=True."""
    height, width = bgr.shape[:2]
    r = min(shape[0] / height, shape[1] / width)
    if not scaleup:
        r = min(r, 1.0)
    new_unpad = round(width * r), round(height * r)
    dw, dh = (shape[1] - new_unpad[0]) / 2, (shape[0] - new_unpad[1]) / 2
    if (width, height) != new_unpad:
        bgr = cv2.resize(bgr, new_unpad, interpolation=cv2.INTER_LINEAR)
    top, bottom = round(dh - 0.1), round(dh + 0.1)
    left, right = round(dw - 0.1), round(dw + 0.1)
    grey = (114, 114, 114)
    return cv2.copyMakeBorder(bgr, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey)


def yolox(bgr, shape):
    """``yolox/data/data_augment.py``, ``preproc``, before the transposition."""
    padded = np.ones((*shape, 3), np.uint8) * 114
    r = min(shape[0] / bgr.shape[0], shape[1] / bgr.shape[1])
    size = (int(bgr.shape[1] * r), int(bgr.shape[0] * r))
    resized = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    padded[: int(bgr.shape[0] * r), : int(bgr.shape[1] * r)] = resized
    return padded


def mmdetection(bgr, shape):
    """mmcv's ``rescale_size`` and ``imrescale``, then mmdetection's ``Pad``."""
    height, width = bgr.shape[:2]
    scale = min(max(shape) / max(height, width), min(shape) / min(height, width))
    size = int(width * float(scale) + 0.5), int(height * float(scale) + 0.5)
    resized = cv2.resize(bgr, size, interpolation=cv2.INTER_LINEAR)
    below, right = shape[0] - size[1], shape[1] - size[0]
    grey = (114, 114, 114)
    return cv2.copyMakeBorder(resized, 0, below, 0, right, cv2.BORDER_CONSTANT, value=grey)


def recipe(shape, rounding, place, upscale=True) -> Recipe:
    return Recipe(
        decoder="opencv",
        resizer="opencv",
        resize=Resize(rule="letterbox", size=shape, rounding=rounding, upscale=upscale),
        crop=shape,
        fill=(114, 114, 114),
        place=place,
        channels="BGR",
        divide=1.0,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype="uint8",
        layout="NHWC",
    )


@dataclass(frozen=True)
class Case:
    reference: object
    rounding: str
    place: str
    square: bool = False
    upscale: bool = True


CASES = {
    "ultralytics": Case(ultralytics, "half_even", "centre"),
    "ultralytics without scaleup": Case(
        lambda bgr, shape: ultralytics(bgr, shape, False), "half_even", "centre", upscale=False
    ),
    "yolox": Case(yolox, "truncate", "top_left"),
    "mmdetection": Case(mmdetection, "half_up", "top_left", square=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@settings(max_examples=150, deadline=None)
@given(height=SIDES, width=SIDES, rows=st.integers(8, 64), columns=st.integers(8, 64))
def test_the_bits_are_those_of_the_family(case: Case, height, width, rows, columns) -> None:
    shape = (rows, rows if case.square else columns)
    bgr = np.random.default_rng(height * 100 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )
    made = Preprocessor(recipe(shape, case.rounding, case.place, case.upscale))
    png = cv2.imencode(".png", bgr)[1].tobytes()
    try:
        wanted = case.reference(bgr, shape)
    except cv2.error:  # a side of no pixel
        with pytest.raises(InputError, match="would become"):
            made(png)
        return
    np.testing.assert_array_equal(made(png)[0], wanted)


def test_a_stretch_is_the_resize_alone() -> None:
    bgr = np.random.default_rng(3).integers(0, 256, (37, 51, 3), dtype=np.uint8)
    stretch = Recipe(
        decoder="opencv",
        resizer="opencv",
        resize=Resize(rule="exact", size=(24, 40)),
        channels="BGR",
        divide=1.0,
        mean=(0, 0, 0),
        std=(1, 1, 1),
        dtype="uint8",
        layout="NHWC",
    )
    made = Preprocessor(stretch)(cv2.imencode(".png", bgr)[1].tobytes())[0]
    np.testing.assert_array_equal(made, cv2.resize(bgr, (40, 24)))


@pytest.mark.parametrize("place", ["centre", "top_left"])
def test_both_cores_of_pillow_make_the_same_letterbox(place) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (50, 33, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    by_pillow = Recipe(
        resize=Resize(rule="letterbox", size=(40, 48), rounding="half_even"),
        crop=(40, 48),
        fill=(114, 114, 114),
        place=place,
    )
    one, other = (Preprocessor(by_pillow, compiled)(file.getvalue())[0] for compiled in (0, 1))
    np.testing.assert_array_equal(one, other)
    padding = one[:, :, -1]
    assert np.unique(padding).size <= 3  # a colour for each channel


@pytest.mark.parametrize("name", ["letterbox_ultralytics", "letterbox_yolox", "letterbox_mmdet"])
def test_the_named_recipes_are_there(name) -> None:
    assert find_recipe(name).shape == (3, 640, 640)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("resize: {rule: letterbox, size: [8, 8]}\ncrop: [8, 9]", "the same was expected"),
        ("resize: {rule: letterbox, size: [8, 8]}", "missing"),
        ("resize: {rule: exact, size: [8, 8], rounding: half_even}", "'letterbox' only"),
        ("resize: {rule: exact, size: [8, 8], upscale: false}", "'letterbox' only"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, text, reason) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        read_recipe(path)
