"""JPEG files that Pillow needs not open: those whose header leaves it nothing to say."""

from __future__ import annotations

import random
import shutil
from typing import Any

import numpy as np
import pytest
from PIL import Image

from portproof.core.errors import InputError
from portproof.preprocess.pixels import compiled, native, transform
from portproof.preprocess.pixels.pillow_images import is_bomb, open_image
from portproof.preprocess.pixels.transform import Preprocessor
from portproof.recipe import find_recipe

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler is installed"
)

PLAIN = {
    "jpeg 4:2:0": (231, 310),
    "jpeg grey": (231, 310),
    "jpeg progressive": (231, 310),
    "jpeg restart markers": (301, 263),
    "jpeg exif orientation": None,
    "jpeg cmyk": None,
    "jpeg rgb": None,
    "png colour": None,
}


@needs_compiler
@pytest.mark.parametrize(("kind", "size"), PLAIN.items())
def test_pillow_opens_what_is_not_plain(
    kinds: dict[str, bytes],
    kind: str,
    size: tuple[int, int] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert compiled.proven_core().plain_jpeg_size(kinds[kind]) == size
    opened: list[bytes] = []

    def noted(data: bytes) -> Any:
        opened.append(data)
        return open_image(data)

    preprocessor = Preprocessor(find_recipe("regnet"))
    monkeypatch.setattr(transform, "open_image", noted)
    sample, clipped = preprocessor(kinds[kind])
    assert len(opened) == (size is None) and not clipped
    monkeypatch.undo()
    assert np.array_equal(
        sample, Preprocessor(find_recipe("regnet"), use_compiled=False)(kinds[kind])[0]
    )


@needs_compiler
@pytest.mark.parametrize("kind", [kind for kind, size in PLAIN.items() if size])
def test_pillow_reads_every_header_that_is_called_plain(kinds: dict[str, bytes], kind: str) -> None:
    """Headers with bytes changed, left out, or doubled."""
    core, rng, data = native.load(), random.Random(kind), kinds[kind]
    end, found = data.index(b"\xff\xda") + 14, 0
    for _ in range(4000):
        head = bytearray(data[:end])
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(2, len(head))
            cut = slice(at, at + rng.choice((1, 2, 4, 64, 65)))
            change = rng.randrange(4)
            if change == 0:
                del head[cut]
            elif change == 1:
                head[at:at] = head[cut]
            else:
                head[at] = rng.choice((0, 1, 2, 3, 255, 0xC0, 0xD8, 0xDB, 0xE1, rng.randrange(256)))
        whole = bytes(head) + data[end : end + 200]
        size = core.plain_jpeg_size(whole)
        if size is not None and not is_bomb(*size):
            image, found = open_image(whole), found + 1
            assert (image.height, image.width) == size
            assert image.format == "JPEG" and image.mode in ("RGB", "L")
    assert found > 400


@needs_compiler
def test_a_plain_bomb_is_refused(monkeypatch: pytest.MonkeyPatch, kinds: dict[str, bytes]) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    with pytest.raises(InputError, match="decompression bomb: 310 x 231 pixels, at most 50000"):
        Preprocessor(find_recipe("regnet"))(kinds["jpeg 4:2:0"])
