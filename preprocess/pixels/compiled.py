"""The compiled core applied to recipes, and the proof that it gives Pillow's bits."""

from __future__ import annotations

import functools
import io
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image

from portproof.preprocess.pixels.cropped import TRIAL_SIZES, trial_image, trial_recipe
from portproof.preprocess.pixels.geometry import plan
from portproof.preprocess.pixels.memory import Memory
from portproof.preprocess.pixels.native import FILTERS, Core, CoreJob, load
from portproof.preprocess.pixels.native.build import CoreUnavailable
from portproof.preprocess.pixels.pillow_images import (
    crop_resized,
    is_bomb,
    to_rgb,
    vertical_first,
)
from portproof.recipe import Recipe


class CompiledRecipe:
    """One recipe on the compiled core; :class:`CoreUnavailable` if it has no such resize."""

    def __init__(self, recipe: Recipe, core: Core) -> None:
        filters = recipe.resize.interpolation if recipe.resize else FILTERS[0]
        if (recipe.decoder, recipe.resizer) != ("pillow", "pillow") or filters not in FILTERS:
            raise CoreUnavailable(f"it has no {recipe.resizer} {filters} resize")
        self.recipe, self.core = recipe, core
        self._filter = FILTERS.index(filters)
        self._tables = np.ascontiguousarray(value_tables(recipe))
        # Images of a data set share their sizes; the core only reads a job, of some 20 KB.
        self._job = functools.lru_cache(maxsize=512)(self._job_of)
        self._memory = Memory()

    def __call__(self, image: Image.Image, data: bytes) -> npt.NDArray[Any] | None:
        """One sample of an opened image, whose file is ``data``; None when Pillow would run the
        vertical pass first, so that only Pillow itself has its bits.
        """
        job = self._job(image.height, image.width)
        if job is None:
            return None
        sample = self._memory.empty(self.recipe.shape, self.recipe.dtype)
        if (
            self.core.decodes_jpeg
            and image.format in ("JPEG", "MPO")
            and image.mode in ("RGB", "L")
            and self.core.jpeg(data, job, sample)
        ):
            return sample
        self.core.resample(np.asarray(to_rgb(image)), job, sample)
        return sample

    def of_plain_jpeg(self, data: bytes) -> npt.NDArray[Any] | None:
        """One sample of a JPEG file that Pillow needs not open, since all that it would look at is
        as usual; None for any other file, and where there is a fault, which Pillow finds again.
        """
        size = self.core.plain_jpeg_size(data) if self.core.decodes_jpeg else None
        job = self._job(*size) if size and not is_bomb(*size) else None
        if job is None:
            return None
        sample = self._memory.empty(self.recipe.shape, self.recipe.dtype)
        return sample if self.core.jpeg(data, job, sample) else None

    def _job_of(self, height: int, width: int) -> CoreJob | None:
        recipe, steps = self.recipe, plan(self.recipe, height, width)
        if vertical_first(height, width, steps.height, steps.width):
            return None
        rows, columns, (sample_height, sample_width) = steps.rows, steps.columns, recipe.size
        job = CoreJob(
            width=width,
            height=height,
            new_width=steps.width,
            new_height=steps.height,
            left=columns.start,
            top=rows.start,
            kept_width=columns.length,
            kept_height=rows.length,
            place_left=columns.place,
            place_top=rows.place,
            sample_width=sample_width,
            sample_height=sample_height,
            filter=self._filter,
            bgr=recipe.channels == "BGR",
            nhwc=recipe.layout == "NHWC",
            item_size=self._tables.itemsize,
            fill=(*recipe.fill, 0),
            tables=self._tables.ctypes.data,
        )
        self.core.prepare(job)
        return job


def value_tables(recipe: Recipe) -> npt.NDArray[Any]:
    """The value that each of the 256 levels becomes: an array (3, 256) of the recipe's dtype, in
    the order of its channels.

    The arithmetic is that of :func:`portproof.preprocess.pixels.transform.values_of`, so that a
    table gives the same bits.
    """
    levels = np.arange(256, dtype=np.float32)
    if not recipe.normalises:
        return np.broadcast_to(levels, (3, 256)).astype(recipe.dtype)
    mean, std = (np.array(v, np.float32)[:, None] for v in (recipe.mean, recipe.std))
    return ((levels / np.float32(recipe.divide) - mean) / std).astype(recipe.dtype)


@functools.cache
def proven_core() -> Core:
    """The compiled core, after it has reproduced the installed Pillow's bits;
    :class:`CoreUnavailable` when it cannot be built or does not.
    """
    core = load()
    for name in FILTERS:
        recipe = trial_recipe(name)
        for height, width in TRIAL_SIZES:
            image = trial_image(height, width)
            if not _agrees(core, recipe, image, b""):
                raise CoreUnavailable(
                    f"its {name} resize has other bits than the installed Pillow {PIL.__version__}"
                )
    if core.decodes_jpeg and not all(
        _decodes_alike(core, mode, subsampling)
        for mode in ("RGB", "L")
        for subsampling in (0, 1, 2)
    ):
        core.decodes_jpeg = False
    return core


def _decodes_alike(core: Core, mode: str, subsampling: int) -> bool:
    buffer = io.BytesIO()
    trial_image(301, 400).convert(mode).save(buffer, "JPEG", quality=80, subsampling=subsampling)
    return _agrees(core, trial_recipe("bicubic"), Image.open(buffer), buffer.getvalue())


def _agrees(core: Core, recipe: Recipe, image: Image.Image, data: bytes) -> bool:
    sample = CompiledRecipe(recipe, core)(image, data)
    expected = crop_resized(to_rgb(image), recipe).transpose(2, 0, 1)
    return sample is None or bool(np.array_equal(sample, expected))
