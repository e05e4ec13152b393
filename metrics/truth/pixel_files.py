"""Images of the ground truth: masks of class ids, and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.yamlfile import load_yaml
from portproof.metrics.truth import Truth
from portproof.metrics.truth.by_name import Loaded, sample_files

#: The file of a mask folder that says what it holds.
ABOUT = "truth.yaml"
MASKS = (".png",)
PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")


class MaskFolder(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """``truth.yaml`` of a mask folder. ``ignore``: the id of pixels that are not judged, null for
    none; ``classes``: their names, by id from 0.
    """

    ignore: Annotated[int, msgspec.Meta(ge=0, le=65535)] | None = 255
    classes: tuple[str, ...] = ()


def read_masks(path: Path) -> Truth:
    """A folder of PNG masks, one a sample (its file's name up to the first dot is the sample id),
    whose pixel values are class ids; ``truth.yaml`` in it may say which id is not judged (255
    unless it does) and what the classes are called.

    A sample's truth is (mask, ignored id or None).
    """
    files = sample_files(path, MASKS, "mask folder")
    about = MaskFolder()
    if (path / ABOUT).is_file():
        about = load_yaml(path / ABOUT, MaskFolder, "description of the masks")
    ignore = -1 if about.ignore is None else about.ignore
    return Truth(
        samples=Loaded(files, lambda file: Mask(read_mask(file), ignore, len(about.classes))),
        files=[*files.values(), *([path / ABOUT] if (path / ABOUT).is_file() else [])],
        sizes={sample: picture_size(file) for sample, file in files.items()},
        facts={"classes": dict(enumerate(about.classes)), "ignore": ignore},
    )


class Mask(msgspec.Struct, frozen=True):
    """``ids``: (height, width) int64; ``ignore``: the id of pixels that are not judged, -1 for
    none; ``classes``: how many there are, 0 where nothing says it.
    """

    ids: Any
    ignore: int
    classes: int


def read_pictures(path: Path) -> Truth:
    """A folder of pictures, one a sample; a sample's truth is (height, width, 1 or 3) levels of 0
    to 255, as float64.
    """
    files = sample_files(path, PICTURES, "image folder")
    sizes = {sample: picture_size(file) for sample, file in files.items()}
    return Truth(samples=Loaded(files, read_picture), files=list(files.values()), sizes=sizes)


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) by the file's header."""
    with _opened(path) as image:
        return image.height, image.width


def read_mask(path: Path) -> NDArray[np.int64]:
    """The class ids of a PNG, (height, width): grey levels, or places in its palette."""
    with _opened(path) as image:
        if image.mode not in ("L", "P", "1", "I;16", "I"):
            raise InputError(
                f"mask '{path}' is an image of mode {image.mode}, class ids in one channel (grey or"
                " with a palette) were expected; convert its colours to ids"
            )
        ids: NDArray[np.int64] = np.asarray(image).astype(np.int64)
        return ids


def read_picture(path: Path) -> NDArray[np.float64]:
    """The levels of a picture, (height, width, 1 or 3)."""
    with _opened(path) as image:
        grey = image.mode in ("L", "1")
        if not grey and image.mode not in ("RGB", "P"):
            raise InputError(
                f"picture '{path}' has the mode {image.mode}, 8-bit RGB or grey was expected;"
                " convert it"
            )
        levels = np.asarray(image.convert("L" if grey else "RGB"), np.float64)
        return levels[:, :, None] if grey else levels


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The image; :class:`InputError` for anything that Pillow cannot read whole."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except InputError:
        raise
    # Pillow's readers raise many kinds of errors for damaged files
    except Exception as error:
        raise InputError(
            f"'{path}' is no whole image ({' '.join(str(error).split())[:120]}); replace it"
        ) from error
