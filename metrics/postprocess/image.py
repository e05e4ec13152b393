"""An image from a model's output."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Decode, Outputs, Sample, output_of, shaped
from portproof.metrics.predictions.restored import Picture
from portproof.postprocess import Image

PREDICTION = "restored"


def decoder(settings: Image, folder: Path) -> Decode:
    """The image, RGB or grey, in levels of 0 to 255."""

    def decode(outputs: Outputs, sample: Sample) -> Picture:
        array = output_of(outputs, settings.output, "image")
        axis = 0 if settings.layout == "CHW" else 2
        form = "(channels, height, width)" if axis == 0 else "(height, width, channels)"
        if array.ndim == 2:
            array = np.expand_dims(array, axis)
        pixels = np.moveaxis(shaped(array, 3, "image", form), axis, 2).astype(np.float64)
        channels = pixels.shape[2]
        if channels not in (1, 3):
            raise InputError(
                f"the output of the image has the shape {tuple(array.shape)} for one sample, {form}"
                " with 1 or 3 channels was expected; correct 'layout' in the post-processing"
            )
        pixels = pixels * _levels(settings.scale, channels, "scale")
        pixels = np.clip(pixels + _levels(settings.shift, channels, "shift"), 0.0, 255.0)
        # A pixel that is no number is as wrong as can be seen: it is black.
        pixels = np.nan_to_num(pixels, nan=0.0)
        if settings.channels == "BGR":
            pixels = pixels[:, :, ::-1]
        return Picture(np.rint(pixels) if settings.round else pixels, settings.border)

    return decode


def _levels(value: float | tuple[float, ...], channels: int, name: str) -> NDArray[np.float64]:
    numbers = np.atleast_1d(np.asarray(value, np.float64))
    if len(numbers) not in (1, channels):
        raise InputError(
            f"'{name}' has {len(numbers)} numbers, and the image has {channels} channels; give one"
            " number, or one for each channel"
        )
    return numbers
