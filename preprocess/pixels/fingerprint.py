"""A fingerprint of preprocessing: a recipe's result on a fixed set of images, here."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator

import numpy as np
from PIL import Image, features

from portproof.core.errors import InputError
from portproof.preprocess.pixels.transform import Preprocessor

#: A 56 x 40 JPEG with subsampled colour (516 bytes), made once: an encoder is no part of what is
#: fingerprinted.
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA0JCgsKCA0LCgsODg0PEyAVExISEyccHhcgLikxMC4pLSwzOko+MzZGNy"
    "wtQFdBRkxOUlNSMj5aYVpQYEpRUk//2wBDAQ4ODhMREyYVFSZPNS01T09PT09PT09PT09PT09PT09PT09PT09PT09P"
    "T09PT09PT09PT09PT09PT09PT09PT0//wAARCAAoADgDASIAAhEBAxEB/8QAGgAAAwEBAQEAAAAAAAAAAAAAAAMEBQ"
    "IBBv/EAB4QAAICAgMBAQAAAAAAAAAAAABhAgMBBBESExRR/8QAGgEBAAIDAQAAAAAAAAAAAAAABQADAQQHBv/EAB4R"
    "AAICAgMBAQAAAAAAAAAAAAADAQQCEQUSIVHB/9oADAMBAAIRAxEAPwD4fxR1ilF3ijrFKF7lydlKGEUaUNjSiuNKGx"
    "pQEy5OxZLCWFKKa6R8KUU10oi7k7EVsE1UoDQqpQC6rk9TchnhneCPcUI0/nR7jXQTcZOznaHGfGhDI0IvjrobHXQE"
    "xk7FkuIoUIproRXDXRRXroi2TsRW4mqoQGnVroBdTJ6m5DvCL50dY10AFlyPTnSM5O466GR10AATI9Fk5yPhropr10"
    "AGVx6JLzkfmrypnZ156RzLj94wAAehpJwzwntAXy3IWK+eMKy1uPkfp//Z"
)

#: Height and width of the generated images: wide, tall beyond 2 : 1 (which Pillow 13 resizes in
#: another order), smaller than any crop.
_SIZES = ((300, 401), (701, 200), (9, 7))


def fixed_images() -> Iterator[bytes]:
    """The files of the fixed set: one JPEG and generated bitmaps, the same on every host."""
    yield _JPEG
    for height, width in _SIZES:
        y, x = np.mgrid[0:height, 0:width]
        levels = np.stack(
            [(x * 3 + y) % 256, (x * y // 7) % 256, (x * 5 ^ y * 3) % 256], axis=-1
        ).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(levels).save(buffer, "BMP")
        yield buffer.getvalue()


def fingerprint(preprocessor: Preprocessor) -> str:
    """SHA-256 over the samples that the recipe makes of the fixed images. An image that the recipe
    cannot take counts as such.
    """
    digest = hashlib.sha256()
    for data in fixed_images():
        try:
            digest.update(preprocessor(data)[0].data)
        except InputError:
            digest.update(b"refused")
    return digest.hexdigest()


def decoders() -> dict[str, str]:
    """The decoding libraries inside Pillow whose version can change bits."""
    jpeg = (
        "libjpeg-turbo " + str(features.version("libjpeg_turbo"))
        if features.check("libjpeg_turbo")
        else str(features.version("jpg"))
    )
    return {"jpeg": jpeg, "webp": str(features.version("webp"))}
