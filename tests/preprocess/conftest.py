"""Image files of every kind that a data set may hold, made on the spot."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def picture(height: int, width: int, seed: int = 0) -> Pixels:
    """Smooth shapes with some noise: JPEG and resizers treat it as they treat a photograph."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / (7 + 3 * c) + seed) + np.cos(y / (5 + 2 * c)) for c in range(3)]
    levels = np.stack(waves, axis=-1) * 60 + 128 + rng.normal(0, 8, (height, width, 3))
    return levels.clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image, form: str, **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _files() -> dict[str, bytes]:
    colour = Image.fromarray(picture(231, 310))
    alpha = Image.fromarray(picture(231, 310, 1)[:, :, 0])
    rgba, la = colour.copy(), colour.convert("L")
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    deep = Image.fromarray(picture(120, 200)[:, :, 0].astype(np.uint16) * 5)
    return {
        "jpeg 4:2:0": encoded(colour, "JPEG", subsampling=2, quality=85),
        "jpeg 4:2:2": encoded(Image.fromarray(picture(333, 221)), "JPEG", subsampling=1),
        "jpeg 4:4:4": encoded(
            Image.fromarray(picture(500, 375)), "JPEG", subsampling=0, quality=95
        ),
        "jpeg wide": encoded(Image.fromarray(picture(375, 777)), "JPEG", subsampling=2),
        "jpeg restart markers": encoded(
            Image.fromarray(picture(301, 263)), "JPEG", subsampling=2, restart_marker_blocks=3
        ),
        "jpeg progressive": encoded(colour, "JPEG", progressive=True, subsampling=2, quality=70),
        "jpeg grey": encoded(colour.convert("L"), "JPEG"),
        "jpeg grey progressive": encoded(colour.convert("L"), "JPEG", progressive=True),
        "jpeg cmyk": encoded(colour.convert("CMYK"), "JPEG"),
        "jpeg exif orientation": encoded(colour, "JPEG", exif=rotated.tobytes()),
        "jpeg rgb": encoded(colour, "JPEG", keep_rgb=True),
        "jpeg 4 megapixels": encoded(Image.fromarray(picture(1700, 2400)), "JPEG", subsampling=2),
        "jpeg tall": encoded(Image.fromarray(picture(685, 320)), "JPEG"),
        "jpeg small": encoded(Image.fromarray(picture(17, 23)), "JPEG", subsampling=2),
        "png colour": encoded(colour, "PNG"),
        "png palette": encoded(colour.convert("P"), "PNG"),
        "png palette transparent": encoded(
            colour.convert("P"), "PNG", transparency=bytes(range(200))
        ),
        "png rgba": encoded(rgba, "PNG"),
        "png la": encoded(la, "PNG"),
        "png 16 bit": encoded(deep, "PNG"),
        "png 1 bit": encoded(colour.convert("1"), "PNG"),
        "png one column": encoded(Image.fromarray(picture(150, 1)), "PNG"),
        "png one row": encoded(Image.fromarray(picture(1, 150)), "PNG"),
        "bmp one pixel": encoded(Image.fromarray(picture(1, 1)), "BMP"),
        "gif": encoded(colour.convert("P"), "GIF"),
        "webp": encoded(colour, "WEBP", lossless=True),
        "tiff cmyk": encoded(colour.convert("CMYK"), "TIFF"),
    }


@pytest.fixture(scope="session")
def kinds() -> dict[str, bytes]:
    """Kind of image -> file."""
    return _files()


@pytest.fixture(scope="session")
def make_images() -> Callable[..., list[Path]]:
    """Write JPEG files into a folder, the first eight different, and then these again; returns
    their paths.
    """

    def make(folder: Path, count: int = 6, height: int = 50, width: int = 64) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / f"img_{number:03d}.JPEG" for number in range(count)]
        files = [
            encoded(Image.fromarray(picture(height + number, width, number)), "JPEG")
            for number in range(min(count, 8))
        ]
        for number, path in enumerate(paths):
            path.write_bytes(files[number % 8])
        return paths

    return make
