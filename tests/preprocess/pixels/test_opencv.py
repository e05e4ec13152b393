"""OpenCV recipes against the scripts that they stand for, in those scripts' own words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.core.errors import InputError
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import Recipe, Resize, find_recipe

from ..conftest import encoded, picture

cv2: Any = pytest.importorskip("cv2")
SIZES = ((375, 500), (500, 333), (401, 257), (300, 300), (97, 641))


@pytest.mark.parametrize("size", SIZES)
def test_shufflenetv2plus(size: tuple[int, int]) -> None:
    """ShuffleNetV2+: OpencvResize(256), CenterCrop(224), ToBGRTensor."""
    data = encoded(Image.fromarray(picture(*size)), "JPEG", quality=90)
    image = Image.open(__import__("io").BytesIO(data)).convert("RGB")
    pixels = np.ascontiguousarray(np.asarray(image)[:, :, ::-1])
    height, width, _ = pixels.shape
    target = (
        (int(256 / height * width + 0.5), 256)
        if height < width
        else (256, int(256 / width * height + 0.5))
    )
    resized = cv2.resize(pixels, target, interpolation=cv2.INTER_LINEAR)
    top, left = round((resized.shape[0] - 224) / 2.0), round((resized.shape[1] - 224) / 2.0)
    expected = resized[top : top + 224, left : left + 224].transpose(2, 0, 1).astype(np.float32)
    sample, _ = Preprocessor(find_recipe("shufflenetv2plus"))(data)
    assert np.array_equal(sample, expected)


@pytest.mark.parametrize("size", SIZES)
def test_se_resnet50_aipp(size: tuple[int, int], tmp_path: Any) -> None:
    """SE-ResNet50: cv2.imread, BGR to RGB, squashed to 256 x 256 with INTER_CUBIC, written as int8
    (the bits of uint8).
    """
    turned = Image.Exif()
    turned[0x0112] = 6
    path = tmp_path / "a.jpg"
    path.write_bytes(
        encoded(Image.fromarray(picture(*size)), "JPEG", quality=90, exif=turned.tobytes())
    )
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    expected = np.array(cv2.resize(image, (256, 256), interpolation=cv2.INTER_CUBIC)).astype(
        np.int8
    )
    sample, _ = Preprocessor(find_recipe("se_resnet50_aipp"))(path.read_bytes())
    assert sample.tobytes() == expected.tobytes()


def test_decoded_by_opencv_and_resized_by_pillow() -> None:
    data = encoded(Image.fromarray(picture(120, 90)), "PNG")
    same = Recipe(resize=Resize(size=(64,), interpolation="lanczos"), crop=(60, 60))
    other = Recipe(
        decoder="opencv", resize=Resize(size=(64,), interpolation="lanczos"), crop=(60, 60)
    )
    assert np.array_equal(Preprocessor(same)(data)[0], Preprocessor(other)(data)[0])


def test_what_opencv_cannot_decode_is_refused() -> None:
    recipe = find_recipe("se_resnet50_aipp")
    with pytest.raises(InputError, match="0 bytes"):
        Preprocessor(recipe)(b"")
    with pytest.raises(InputError, match="not an image"):
        Preprocessor(recipe)(b"nothing")
