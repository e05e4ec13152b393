"""The compiled core: C, built where a compiler is, with bits identical to Pillow's.

The C files beside this one are compiled once into a cache folder, by the system's compiler, and
loaded with ctypes. Before the core is used it must reproduce Pillow's own results on images made
for the purpose; if it cannot be used, :class:`CoreUnavailable` gives the reason.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from portproof.core.drafts import draft_folder

_SOURCES = ("core.c", "horizontal.c", "weights.c", "jpeg.c")
_HEADERS = ("core.h", "jpeg62.h")

#: No fused multiply-add: Pillow's coefficients are computed without.
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_COMPILE_SECONDS = 120

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


class CoreUnavailable(Exception):
    """Why the compiled core cannot be used here, in a few words."""


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
        self._jpeg = _jpeg_functions()
        self.decodes_jpeg = self._jpeg is not None

    def resample(self, pixels: npt.NDArray[np.uint8], job: CoreJob, out: npt.NDArray[Any]) -> None:
        """Resize and crop (height, width, 3) RGB bytes into a sample; rows may be strided."""
        code = self._library.portproof_resample(
            pixels.ctypes.data, pixels.strides[0], ctypes.byref(job), out.ctypes.data
        )
        if code:
            raise MemoryError

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
    return Core(_compiled())


def _compiled() -> Path:
    """The compiled library in the cache, named by everything that decides its bytes."""
    compiler = next(
        (
            path
            for name in (os.environ.get("CC"), "cc", "gcc", "clang")
            if name and (path := shutil.which(name))
        ),
        None,
    )
    if compiler is None:
        raise CoreUnavailable("no C compiler is installed (cc, gcc or clang)")
    here = Path(__file__).parent
    digest = hashlib.sha256(
        repr((compiler, _FLAGS, platform.machine(), _processor_features())).encode()
    )
    try:
        for name in (*_SOURCES, *_HEADERS):
            digest.update((here / name).read_bytes())
    except OSError as error:
        raise CoreUnavailable(f"its source is missing from this installation: {error}") from error
    library = _cache_folder() / f"core-{digest.hexdigest()[:32]}.so"
    if not library.is_file():
        _compile(compiler, [str(here / name) for name in _SOURCES], library)
    return library


def _compile(compiler: str, sources: list[str], library: Path) -> None:
    try:
        with draft_folder(library) as folder:
            draft = folder / library.name
            # The cache is of this processor alone, so its own instructions may be used; a compiler
            # that does not know them does without.
            for tuning in (("-march=native",), ()):
                command = [compiler, *_FLAGS, *tuning, *sources, "-o", str(draft), "-lm"]
                result = subprocess.run(
                    command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
                )
                if result.returncode == 0:
                    os.replace(draft, library)
                    return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CoreUnavailable(f"{compiler} could not be run: {error}") from error
    raise CoreUnavailable(
        f"{compiler} failed: {(result.stderr.strip().splitlines() or ['no message'])[-1]}"
    )


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    folder = Path(base, "portproof")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"'{folder}' is not writable")
    except OSError as error:
        raise CoreUnavailable(f"no cache folder to compile into: {error}") from error
    return folder


def _processor_features() -> str:
    """What ``-march=native`` depends on: a home folder may be shared by hosts."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            return next(
                (line for line in file if line.lower().startswith(("flags", "features"))),
                platform.processor(),
            )
    except OSError:
        return platform.processor()
