"""``preprocess/check.py``: folders made by the mistakes of scripts in circulation, each written
here with its own libraries.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.preprocess.mistakes.explain import check_folder
from portproof.recipe import Recipe, read_recipe

from ..conftest import encoded, picture

RECIPE = "resize: {rule: shorter, size: [37], interpolation: bilinear}\ncrop: [32, 32]\n"
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])
Stage = Callable[..., subprocess.CompletedProcess[str]]
Script = Callable[[Image.Image], Any]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Landscape and portrait, margins odd and even, one with an EXIF orientation."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number, (height, width) in enumerate(
        [(61, 90), (90, 61), (75, 100), (66, 67), (100, 64), (50, 80)]
    ):
        turned = Image.Exif()
        turned[0x0112] = 3
        options: dict[str, Any] = {"exif": turned.tobytes()} if number == 0 else {}
        (folder / f"img_{number}.jpg").write_bytes(
            encoded(Image.fromarray(picture(height, width, number)), "JPEG", **options)
        )
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "small.yaml").write_text(RECIPE)
    return read_recipe(tmp_path / "small.yaml")


def cropped(
    image: Image.Image, method: Any = Image.Resampling.BILINEAR, size: int = 37, floor: bool = False
) -> np.ndarray[Any, Any]:
    """The usual script's resize and crop, in its own words."""
    w, h = image.size
    image = image.resize((size, int(size * h / w)) if w <= h else (int(size * w / h), size), method)
    w, h = image.size
    top, left = (
        ((h - 32) // 2, (w - 32) // 2) if floor else (round((h - 32) / 2.0), round((w - 32) / 2.0))
    )
    return np.asarray(image)[top : top + 32, left : left + 32]


def normalised(
    pixels: np.ndarray[Any, Any], mean: Any = MEAN, std: Any = STD, divide: float = 255
) -> np.ndarray[Any, Any]:
    return ((pixels.astype(np.float32) / np.float32(divide) - mean) / std).transpose(2, 0, 1)


def by_opencv(image: Image.Image) -> np.ndarray[Any, Any]:
    cv2 = pytest.importorskip("cv2")
    w, h = image.size
    size = (37, int(37 * h / w)) if w <= h else (int(37 * w / h), 37)
    resized = Image.fromarray(cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_LINEAR))
    w, h = resized.size
    top, left = round((h - 32) / 2.0), round((w - 32) / 2.0)
    return normalised(np.asarray(resized)[top : top + 32, left : left + 32])


#: mistake -> (script, the part of the recipe that must be named, a word of what was found)
MISTAKES: dict[str, tuple[Script, str, str]] = {
    "bicubic": (
        lambda i: normalised(cropped(i, Image.Resampling.BICUBIC)),
        "interpolation",
        "pillow bicubic",
    ),
    "opencv": (by_opencv, "interpolation", "opencv bilinear"),
    "floor": (
        lambda i: normalised(cropped(i, floor=True)),
        "rounding of the crop's place",
        "floor",
    ),
    "size": (lambda i: normalised(cropped(i, size=36)), "size before the crop", "36"),
    "squash": (
        lambda i: normalised(np.asarray(i.resize((32, 32), Image.Resampling.BILINEAR))),
        "crop",
        "no crop",
    ),
    "bgr pixels": (lambda i: normalised(cropped(i)[:, :, ::-1]), "channel order", "BGR"),
    "bgr all": (lambda i: normalised(cropped(i))[::-1], "channel order, with mean and std", "BGR"),
    "scale": (lambda i: normalised(cropped(i), divide=1), "scale", "divide by 1"),
    "half": (
        lambda i: normalised(cropped(i), np.float32(0.5), np.float32(0.5)),
        "mean and std",
        "0.5",
    ),
    "dpn": (
        lambda i: (
            (cropped(i).astype(np.float32) - np.float32([124, 117, 104])) * np.float32(0.0167)
        ).transpose(2, 0, 1),
        "mean and std",
        "DPN's",
    ),
    "twice": (
        lambda i: (normalised(cropped(i)) - MEAN.reshape(3, 1, 1)) / STD.reshape(3, 1, 1),
        "mean and std",
        "applied twice",
    ),
    "mean": (lambda i: normalised(cropped(i), mean=np.float32(0)), "mean", "(0.0, 0.0, 0.0)"),
    "std": (lambda i: normalised(cropped(i), std=np.float32(1)), "std", "(1.0, 1.0, 1.0)"),
    "raw": (
        lambda i: cropped(i).astype(np.float32).transpose(2, 0, 1),
        "mean and std",
        "raw pixels",
    ),
    "nhwc": (lambda i: normalised(cropped(i)).transpose(1, 2, 0), "layout", "NHWC"),
    "float16": (lambda i: normalised(cropped(i)).astype(np.float16), "dtype", "float16"),
}


def write(images: Path, prep: Path, script: Script) -> None:
    prep.mkdir()
    for path in images.iterdir():
        np.ascontiguousarray(
            script(Image.open(io.BytesIO(path.read_bytes())).convert("RGB"))
        ).tofile(prep / f"{path.stem}.bin")


@pytest.mark.parametrize("name", MISTAKES)
def test_every_single_mistake_is_named(
    name: str, tmp_path: Path, images: Path, recipe: Recipe
) -> None:
    script, part, found = MISTAKES[name]
    write(images, tmp_path / "prep", script)
    result = check_folder(tmp_path / "prep", recipe, str(images), samples=6, seed=0)
    assert result["verdict"] == "FAIL"
    why = result["explanation"]
    assert why["change"] == part and found in why["found"] and why["explains"] == why["of"], why


def test_orientation_applied_is_found(tmp_path: Path, images: Path, recipe: Recipe) -> None:
    from PIL import ImageOps

    (tmp_path / "prep").mkdir()
    for path in images.iterdir():
        turned = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
        normalised(cropped(turned)).tofile(tmp_path / "prep" / f"{path.stem}.bin")
    result = check_folder(tmp_path / "prep", recipe, str(images), samples=6, seed=0)
    assert (
        result["differing"] == ["img_0"] and result["explanation"]["change"] == "EXIF orientation"
    )


def test_right_folders_pass_whoever_made_them(
    tmp_path: Path, images: Path, recipe: Recipe, stage: Stage
) -> None:
    write(images, tmp_path / "exact", lambda i: normalised(cropped(i)))
    result = check_folder(tmp_path / "exact", recipe, str(images), samples=6, seed=1)
    assert (result["verdict"], result["identical"], result["explanation"]) == ("PASS", 6, None)
    write(
        images,
        tmp_path / "double",
        lambda i: ((cropped(i) / 255.0 - MEAN) / STD).transpose(2, 0, 1).astype(np.float32),
    )
    result = check_folder(tmp_path / "double", recipe, str(images), samples=6, seed=1)
    assert (
        result["verdict"] == "PASS"
        and result["identical"] < 6
        and 0 < result["max_difference"] < 1e-5
    )
    done = stage(
        "preprocess/check.py",
        "double",
        "--recipe",
        "small.yaml",
        "--images",
        "images",
        cwd=tmp_path,
    )
    assert done.returncode == 0 and "but for rounding" in done.stdout


def test_two_mistakes_at_once_are_not_guessed(
    tmp_path: Path, images: Path, recipe: Recipe, stage: Stage
) -> None:
    write(
        images,
        tmp_path / "prep",
        lambda i: normalised(cropped(i, Image.Resampling.LANCZOS)[:, :, ::-1]),
    )
    done = stage(
        "preprocess/check.py",
        "prep",
        "--recipe",
        "small.yaml",
        "--images",
        "images",
        "--json",
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["explanation"] is None


def test_our_own_folders_need_no_images_option(
    tmp_path: Path, images: Path, recipe: Recipe, stage: Stage
) -> None:
    for pack in ((), ("--pack",)):
        prep = f"prep{len(pack)}"
        assert (
            stage(
                "preprocess/imagenet.py",
                "images",
                prep,
                "--recipe",
                "small.yaml",
                *pack,
                cwd=tmp_path,
            ).returncode
            == 0
        )
        done = stage(
            "preprocess/check.py", prep, "--recipe", "small.yaml", "--samples", 4, cwd=tmp_path
        )
        assert (
            done.returncode == 0
            and "PASS: 4 of 4 sampled files" in done.stdout
            and "to the last bit" in done.stdout
        ), done.stderr
        done = stage(
            "preprocess/check.py", prep, "--recipe", "small.yaml", "--dtype", "uint8", cwd=tmp_path
        )
        assert (
            done.returncode == 1
            and "samples have 12288 bytes, the recipe makes 3072" in done.stdout
        )


def test_bad_input(tmp_path: Path, images: Path, recipe: Recipe, stage: Stage) -> None:
    write(images, tmp_path / "prep", lambda i: normalised(cropped(i)))
    assert (
        "give --images"
        in stage("preprocess/check.py", "prep", "--recipe", "small.yaml", cwd=tmp_path).stderr
    )
    (images / "img_3.jpg").unlink()
    done = stage(
        "preprocess/check.py", "prep", "--recipe", "small.yaml", "--images", "images", cwd=tmp_path
    )
    assert done.returncode == 2 and "1 samples without an image (img_3)" in done.stderr
    assert (
        stage(
            "preprocess/check.py",
            "images",
            "--recipe",
            "small.yaml",
            "--images",
            "images",
            cwd=tmp_path,
        ).returncode
        == 2
    )
    assert stage("preprocess/check.py", "prep", cwd=tmp_path).returncode == 2


def test_another_fingerprint_is_noted(
    tmp_path: Path, images: Path, recipe: Recipe, stage: Stage
) -> None:
    assert (
        stage(
            "preprocess/imagenet.py", "images", "prep", "--recipe", "small.yaml", cwd=tmp_path
        ).returncode
        == 0
    )
    sidecar = tmp_path / "prep.proof.json"
    proof = json.loads(sidecar.read_text())
    assert check_folder(tmp_path / "prep", recipe, None, 2, 0)["notes"] == []
    proof["facts"]["fingerprint"] = "0" * 64
    proof["versions"]["Pillow"] = "8.2.0"
    sidecar.write_text(json.dumps(proof))
    notes = check_folder(tmp_path / "prep", recipe, None, 2, 0)["notes"]
    assert "made with Pillow 8.2.0" in notes[0] and "fingerprint" in notes[1]
