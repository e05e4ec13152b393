"""The compiled core: C, built where a compiler is, with bits identical to Pillow's.

The C files beside this one are compiled once (:mod:`portproof.preprocess.pixels.native.build`) and
loaded with ctypes. Before the core is used it must reproduce Pillow's own results on images made
for the purpose; if it cannot be used, :class:`CoreUnavailable` gives the reason.
"""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portproof.preprocess.pixels.native.build import CoreUnavailable, library

_SOURCES = ("core.c", "horizontal.c", "weights.c", "jpeg.c")
_HEADERS = ("core.h", "jpeg62.h")

#: Filters in the order of weights.c.
FILTERS = ("box", "bilinear", "hamming", "bicubic", "lanczos")

#: What ``portproof_jpeg`` answers when Pillow must decode the file.
USE_PILLOW = -2

_JPEG_FUNCTIONS = (
    "jpeg_std_error",
    "jpeg_CreateDecompress",
    "jpeg_read_header",
    "jpeg_start_decompress",
    "jpeg_crop_scanline",
    "jpeg_skip_scanlines",
    "jpeg_read_scanlines",
    "jpeg_finish_decompress",
    "jpeg_destroy_decompress",
    "jpeg_resync_to_restart",
)


class CoreJob(ctypes.Structure):
    """``struct job`` of core.h."""

    _fields_ = (
        *(
            (name, ctypes.c_int32)
            for name in (
                "width",
                "height",
                "new_width",
                "new_height",
                "left",
                "top",
                "kept_width",
                "kept_height",
            )
        ),
        *(
            (name, ctypes.c_int32)
            for name in (
                "place_left",
                "place_top",
                "sample_width",
                "sample_height",
                "filter",
                "bgr",
                "nhwc",
                "item_size",
            )
        ),
        ("fill", ctypes.c_uint8 * 4),
        ("tables", ctypes.c_void_p),
        ("axes", ctypes.c_void_p),
    )


class Core:
    """The loaded library. ``decodes_jpeg``: it can use the JPEG decoder inside Pillow."""

    def __init__(self, path: Path) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
        except OSError as error:
            raise CoreUnavailable(f"the compiled core cannot be loaded: {error}") from error
        self._library.portproof_job_size.restype = ctypes.c_size_t
        if self._library.portproof_job_size() != ctypes.sizeof(CoreJob):
            raise CoreUnavailable(
                "the compiled core has another structure than this version expects"
            )
        self._library.portproof_axes_size.restype = ctypes.c_size_t
        self._library.portproof_resample.argtypes = (
            ctypes.c_void_p,
            ctypes.c_ssize_t,
            ctypes.POINTER(CoreJob),
            ctypes.c_void_p,
        )
        self._library.portproof_jpeg.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
            ctypes.POINTER(CoreJob),
            ctypes.c_void_p,
        )
        self._library.portproof_header.argtypes = (
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_void_p,
        )
        self._jpeg = _jpeg_functions()
        self.decodes_jpeg = self._jpeg is not None

    def prepare(self, job: CoreJob) -> None:
        """Compute what all images of a job share, which lives as long as the job."""
        job.memory = ctypes.create_string_buffer(
            self._library.portproof_axes_size(ctypes.byref(job))
        )
        if self._library.portproof_make_axes(ctypes.byref(job), job.memory):
            raise MemoryError
        job.axes = ctypes.addressof(job.memory)

    def resample(self, pixels: npt.NDArray[np.uint8], job: CoreJob, out: npt.NDArray[Any]) -> None:
        """Resize and crop (height, width, 3) RGB bytes into a sample; rows may be strided."""
        code = self._library.portproof_resample(
            pixels.ctypes.data, pixels.strides[0], ctypes.byref(job), out.ctypes.data
        )
        if code:
            raise MemoryError

    def plain_jpeg_size(self, data: bytes) -> tuple[int, int] | None:
        """Height and width of a JPEG file whose header has nothing that Pillow could refuse, or
        read in another way; None for any other file.
        """
        found = (ctypes.c_int32 * 2)()
        code = self._library.portproof_header(data, len(data), found)
        return None if code else (found[0], found[1])

    def jpeg(self, data: bytes, job: CoreJob, out: npt.NDArray[Any]) -> bool:
        """Decode, resize and crop a JPEG file into a sample; False when Pillow must do it: not a
        plain file, or a damaged one.
        """
        code = self._library.portproof_jpeg(
            data, len(data), self._jpeg, ctypes.byref(job), out.ctypes.data
        )
        if code not in (0, USE_PILLOW):
            raise MemoryError
        return bool(code == 0)


def _jpeg_functions() -> ctypes.Array[ctypes.c_void_p] | None:
    """The addresses of the JPEG decoder that Pillow itself is linked with, or None when it keeps
    them to itself.
    """
    from PIL import _imaging

    try:
        pillow = ctypes.CDLL(_imaging.__file__)
        found = [ctypes.cast(getattr(pillow, name), ctypes.c_void_p) for name in _JPEG_FUNCTIONS]
    except (OSError, AttributeError):
        return None
    return (ctypes.c_void_p * len(found))(*(address.value for address in found))


@functools.cache
def load() -> Core:
    """The core of this process, compiled once; :class:`CoreUnavailable` says why there is none."""
    return Core(library("core", Path(__file__).parent, _SOURCES, _HEADERS))
