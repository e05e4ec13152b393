"""Faults of preprocessing between the file and the sample, made here by Pillow and numpy alone: each
has its name, and its own way out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from .world import MEAN, SIZE, STD, World

Pixels = list[np.ndarray]
COUNT = 30


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """JPEG files of some size; every tenth has an EXIF orientation."""
    world = World(tmp_path_factory.mktemp("pictures"), COUNT)
    generator = np.random.default_rng(11)
    for i, path in enumerate(sorted(world.images.iterdir())):
        path.unlink()
        coarse = Image.fromarray(generator.integers(0, 256, (14, 17, 3)).astype(np.uint8))
        exif = Image.Exif()
        if i % 10 == 3:
            exif[0x0112] = 3
        coarse.resize((150, 120), Image.Resampling.BICUBIC).save(
            path.with_suffix(".jpg"), quality=95, exif=exif.tobytes()
        )
    world.right = world.infer(np.stack([world.normalised(p) for p in world.pixels()]))
    world.labels.write_text(
        "".join(f"img_{i:02d}.jpg {row.argmax()}\n" for i, row in enumerate(world.right)), "ascii"
    )
    return world


def cut(world: World, top: int, left: int, size: tuple[int, int] = (40, 32)) -> Pixels:
    """Crops at a place of their own."""
    return [
        np.asarray(image.resize(size, Image.Resampling.BICUBIC))[
            top : top + SIZE, left : left + SIZE
        ]
        for image in opened(world)
    ]


def opened(world: World) -> list[Image.Image]:
    return [Image.open(path).convert("RGB") for path in sorted(world.images.iterdir())]


def upright(world: World) -> Pixels:
    images = [ImageOps.exif_transpose(Image.open(p)) for p in sorted(world.images.iterdir())]
    return centre([image.convert("RGB") for image in images])


def draft(world: World) -> Pixels:
    images = [Image.open(path) for path in sorted(world.images.iterdir())]
    for image in images:
        image.draft("RGB", (40, 32))
    assert images[0].size < (150, 120)
    return centre([image.convert("RGB") for image in images])


def centre(images: list[Image.Image]) -> Pixels:
    resized = [np.asarray(i.resize((40, 32), Image.Resampling.BICUBIC)) for i in images]
    return [pixels[4 : 4 + SIZE, 8 : 8 + SIZE] for pixels in resized]


def by(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], Pixels]:
    return lambda w: [change(p) for p in w.pixels()]


#: JFIF's numbers: Y, Cb and Cr of red, green and blue; and what BT.709 makes of them.
YUV = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
RGB_OF_709 = np.array([[1, 0, 1.5748], [1, -0.1873, -0.4681], [1, 1.8556, 0]])


def yuv_as(back: np.ndarray, order: tuple[int, int, int] = (0, 1, 2)) -> Callable[..., np.ndarray]:
    return lambda p: np.clip(np.rint((p @ YUV.T)[..., order] @ back.T), 0, 255).astype(np.uint8)


def one_colour_for_four(pixels: np.ndarray) -> np.ndarray:
    yuv = pixels @ YUV.T
    four = yuv.reshape(SIZE // 2, 2, SIZE // 2, 2, 3).mean(axis=(1, 3))
    yuv[..., 1:] = four.repeat(2, axis=0).repeat(2, axis=1)[..., 1:]
    return np.clip(np.rint(yuv @ np.linalg.inv(YUV).T), 0, 255).astype(np.uint8)


def longer_rows(pixels: np.ndarray, by: int) -> np.ndarray:
    rows = np.pad(pixels, ((0, 0), (0, by), (0, 0))).reshape(-1, 3)
    return rows[: SIZE * SIZE].reshape(SIZE, SIZE, 3)


Filter = Image.Resampling
#: fault, pixels (height, width, RGB)
PIXELS: dict[str, tuple[str, Callable[[World], Pixels]]] = {
    "squashed, then cropped": ("resize-crop", lambda w: cut(w, 4, 4, (32, 32))),
    "crop at the corner": ("crop-place", lambda w: cut(w, 0, 0)),
    "crop at the other corner": ("crop-place", lambda w: cut(w, 8, 16)),
    "crop 2 pixels off": ("crop-place", lambda w: cut(w, 6, 8)),
    "crop 3 pixels off both ways": ("crop-place", lambda w: cut(w, 1, 11)),
    "lanczos": ("interpolation", lambda w: w.pixels(Filter.LANCZOS)),
    "box": ("interpolation", lambda w: w.pixels(Filter.BOX)),
    "hamming": ("interpolation", lambda w: w.pixels(Filter.HAMMING)),
    "nearest": ("interpolation", lambda w: w.pixels(Filter.NEAREST)),
    "draft": ("decoding-draft", draft),
    "orientation": ("exif-orientation", upright),
    "mirrored": ("mirrored", by(lambda p: p[:, ::-1])),
    "upside down": ("upside-down", by(lambda p: p[::-1])),
    "turned": ("rotated", by(np.rot90)),
    "transposed": ("rotated", by(lambda p: p.transpose(1, 0, 2))),
    "video range": ("video-range", by(lambda p: np.rint(16 + p / 255 * 219))),
    "video range cut": ("video-range", by(lambda p: np.clip((p - 16.0) / 219 * 255, 0, 255))),
    "NV21 for NV12": ("colour-space", by(yuv_as(np.linalg.inv(YUV), (0, 2, 1)))),
    "BT.601 read as BT.709": ("colour-space", by(yuv_as(RGB_OF_709))),
    "4:2:0": ("chroma-subsampling", by(one_colour_for_four)),
    "rows of 32 read as 24": ("row-stride", by(lambda p: longer_rows(p, 8))),
    "rows of 25 read as 24": ("row-stride", by(lambda p: longer_rows(p, 1))),
    "rows of 36 read as 24": ("row-stride", by(lambda p: longer_rows(p, 12))),
    "rows of 24 read as 32": (
        "row-stride",
        by(lambda p: np.resize(np.pad(p, ((0, 8), (0, 0), (0, 0))), (SIZE, 32, 3))[:, :SIZE]),
    ),
    "planes as pixels": (
        "layout",
        by(lambda p: np.ascontiguousarray(p.transpose(2, 0, 1)).reshape(p.shape)),
    ),
    "pixels as planes": (
        "layout",
        by(lambda p: np.ascontiguousarray(p).reshape(3, SIZE, SIZE).transpose(1, 2, 0)),
    ),
    "77 added to bytes": ("overflow", by(lambda p: p + np.uint8(77))),
    "5 taken from bytes": ("overflow", by(lambda p: p - np.uint8(5))),
    "bytes doubled": ("overflow", by(lambda p: p * np.uint8(2))),
    "bytes times 1.35": ("overflow", by(lambda p: (p * 1.35).astype(np.int64).astype(np.uint8))),
    "4 bits": ("few-bits", by(lambda p: p & 0xF0)),
    "3 bits": ("few-bits", by(lambda p: p >> 5 << 5)),
    "min-max": (
        "normalisation-per-image",
        by(lambda p: (p - float(p.min())) / np.ptp(p) * 255),
    ),
    "grey": ("grey", by(lambda p: np.repeat(np.rint(p @ [[0.299], [0.587], [0.114]]), 3, axis=2))),
}
#: fault, normalised values of pixels
VALUES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "min-max alone": ("normalisation-per-image", lambda p: (p - float(p.min())) / np.ptp(p)),
    "standardised": ("normalisation-per-image", lambda p: (p - p.mean()) / p.std()),
    "std multiplied": ("std-multiplied", lambda p: (p / 255 - MEAN) * STD),
    "mean taken from bytes": (
        "overflow",
        lambda p: (p - np.uint8([124, 116, 104])) / 255 / STD,
    ),
    "variance": ("variance-for-std", lambda p: (p / 255 - MEAN) / STD**2),
    "no mean": ("mean-missing", lambda p: p / 255 / STD),
    "no std": ("std-missing", lambda p: p / 255 - MEAN),
    "mean added": ("mean-misapplied", lambda p: (p / 255 + MEAN) / STD),
    "divided first": ("mean-misapplied", lambda p: p / 255 / STD - MEAN),
    "clipped": ("values-clipped", lambda p: np.clip((p / 255 - MEAN) / STD, -1, 1)),
    "clipped to 0 and 1": ("values-clipped", lambda p: np.clip((p / 255 - MEAN) / STD, 0, 1)),
    "as integers": ("values-cut", lambda p: np.trunc((p / 255 - MEAN) / STD)),
    "Caffe's": ("normalisation-constants", lambda p: p - np.array([123.68, 116.779, 103.939])),
}


def samples(values: list[np.ndarray]) -> np.ndarray:
    return np.stack([v.transpose(2, 0, 1) for v in values]).astype(np.float32)


#: Of pictures that use the whole range, the outputs of these two differ by 2e-5.
ALIKE = {"min-max alone": {"normalisation-missing"}}


@pytest.mark.parametrize("name", [*PIXELS, *VALUES])
def test_faults_of_pixels_and_values(world: World, name: str) -> None:
    if name in PIXELS:
        fault, make = PIXELS[name]
        rows = world.infer(np.stack([world.normalised(p) for p in make(world)]))
    else:
        fault, change = VALUES[name]
        rows = world.infer(samples([change(p) for p in world.pixels()]))
    diagnosis = world.diagnose(rows)
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert len(diagnosis.faults) == 1, diagnosis.to_text()
    assert set(diagnosis.faults[0].alike) <= ALIKE.get(name, set()), diagnosis.to_text()
    assert diagnosis.faults[0].accuracy_after == 1


def test_every_fault_has_its_own_fix(world: World, tmp_path: Path) -> None:
    from portproof.preprocess.mistakes.mistake import FIXES
    from portproof.preprocess.mistakes.usual import usual_mistakes
    from portproof.recipe import Recipe, Resize

    faults = {m.fault for m in usual_mistakes(Recipe(resize=Resize(size=(256,)), crop=(224, 224)))}
    assert faults - {None} == FIXES.keys() and len(set(FIXES.values())) == len(FIXES)


def test_two_faults_of_preprocessing_are_found_one_after_the_other(world: World) -> None:
    bgr = [world.normalised(p[:, :, ::-1]) for p in world.pixels(Filter.NEAREST)]
    diagnosis = world.diagnose(world.infer(np.stack(bgr)))
    assert [f.fault for f in diagnosis.faults] == ["channel-order", "interpolation"]


def test_two_faults_that_hide_each_other_are_found_as_a_pair(world: World) -> None:
    bgr = [world.normalised(p[:, ::-1, ::-1]) for p in world.pixels()]
    diagnosis = world.diagnose(world.infer(np.stack(bgr)))
    faults = sorted(f.fault for f in diagnosis.faults)
    assert faults == ["channel-order", "mirrored"], diagnosis.to_text()


def test_a_stale_tail_beside_a_fault_of_preprocessing(world: World) -> None:
    rows = world.infer(np.stack([world.normalised(p[:, :, ::-1]) for p in world.pixels()]))
    rows[-4:] = np.random.default_rng(5).standard_normal((4, rows.shape[1])) * rows.std()
    diagnosis = world.diagnose(rows)
    assert [f.fault for f in diagnosis.faults] == ["channel-order", "stale-results"]


@pytest.mark.parametrize(
    ("fault", "change", "part", "said"),
    [
        ("mirrored", lambda p: p[:, ::-1], range(12, COUNT), "in 18 of 30 samples (the last 18"),
        ("inverted", lambda p: 255 - p, range(3, COUNT, 6), "in 5 of 30 samples"),
        ("channel-order", lambda p: p[..., ::-1], range(0, COUNT, 2), "in 15 of 30 samples"),
    ],
)
def test_a_fault_of_some_images_alone(
    world: World, fault: str, change: Callable[[np.ndarray], np.ndarray], part: range, said: str
) -> None:
    """As of one of several workers, or of a last batch."""
    pixels = [change(p) if i in part else p for i, p in enumerate(world.pixels())]
    diagnosis = world.diagnose(world.infer(np.stack([world.normalised(p) for p in pixels])))
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert said in diagnosis.faults[0].evidence
    assert len(diagnosis.faults) == 1 and diagnosis.faults[0].accuracy_after == 1


def test_some_images_of_another_run_are_no_fault_of_some_images(world: World) -> None:
    rows = world.right.copy()
    rows[20:] = np.random.default_rng(3).standard_normal(rows[20:].shape) * rows.std()
    diagnosis = world.diagnose(rows)
    assert [f.fault for f in diagnosis.faults] == ["stale-results"], diagnosis.to_text()
