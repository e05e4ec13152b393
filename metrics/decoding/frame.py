"""Where the original image lies in a model's input, to bring predictions back to its pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.decoding.arrays import Sample
from portproof.postprocess import Frame
from portproof.preprocess.pixels.geometry import plan
from portproof.recipe import Recipe, describe

#: Pixels by which two ways to round the sides and places of an image differ.
_ROUNDING = 1


@dataclass(frozen=True)
class Placement:
    """An original point p, (y, x) in pixels, is at p * ``scale`` + ``offset`` of the input, which
    has ``input_size``; the image covers ``inner`` of it (top, left, bottom, right). ``size``: of
    the original, None where nothing was changed.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    input_size: tuple[int, int] | None = None
    inner: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None

    def undo_points(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 2), x before y, in the pixels of the original image."""
        offset = np.array([self.offset[1], self.offset[0]])
        scale = np.array([self.scale[1], self.scale[0]])
        return np.asarray((xy - offset) / scale, np.float64)

    def undo_boxes(self, xyxy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (N, 4) in the pixels of the original image, cut off at its borders."""
        boxes = self.undo_points(xyxy.reshape(-1, 2, 2))
        if self.size is not None:
            boxes = np.clip(boxes, 0.0, [float(self.size[1]), float(self.size[0])])
        return boxes.reshape(-1, 4)


def placement(sample: Sample, frame: Frame | None) -> Placement:
    """How this sample's image was placed, by ``frame`` or else by the card's recipe.

    :class:`InputError` when neither says it, or when the original size is not known.
    """
    if frame is not None and frame.rule == "none":
        return Placement(input_size=sample.size)
    if frame is None and sample.recipe is None:
        raise InputError(
            "how the image was put into the model's input is not known: give 'frame' in the"
            " post-processing (rule none, stretch or letterbox), or a model card with a recipe"
        )
    if sample.size is None:
        raise InputError(
            f"the truth does not say the size of the image '{sample.id}', which the predictions are"
            " brought back to; give a truth with sizes, or the rule 'none' in 'frame'"
        )
    if frame is None:
        return _by_recipe(sample, sample.size)
    size = frame.size or sample.input_size
    if size is None:
        raise InputError(
            "the size of the model's input is not known: give 'size' in 'frame', or a model card"
        )
    found = _by_frame(frame, sample.size, size)
    if sample.recipe is not None:
        _check_recipe(found, _by_recipe(sample, sample.size), frame, sample.recipe)
    return found


def _check_recipe(found: Placement, made: Placement, frame: Frame, recipe: Recipe) -> None:
    """A frame that is not what the card's recipe does would move every prediction."""
    assert found.inner is not None and made.inner is not None  # both are of an image of known size
    apart = max(abs(a - b) for a, b in zip(found.inner, made.inner, strict=True))
    if apart > _ROUNDING or found.input_size != made.input_size:
        raise InputError(
            f"'frame' of the post-processing says {frame.rule}, and the card's recipe does"
            f" otherwise ({describe(recipe)}): the image would lie {apart} pixels elsewhere; take"
            " 'frame' out, which the recipe makes needless, or correct one of them"
        )


def _by_recipe(sample: Sample, size: tuple[int, int]) -> Placement:
    assert sample.recipe is not None  # its caller has looked
    found = plan(sample.recipe, *size)
    rows, columns = found.rows, found.columns
    return Placement(
        (found.height / size[0], found.width / size[1]),
        (float(rows.place - rows.start), float(columns.place - columns.start)),
        sample.recipe.size,
        (rows.place, columns.place, rows.place + rows.length, columns.place + columns.length),
        size,
    )


def _by_frame(frame: Frame, original: tuple[int, int], size: tuple[int, int]) -> Placement:
    """Sources: Ultralytics' ``LetterBox`` and ``scale_boxes`` (centre, half even), YOLOX's
    ``preproc`` (upper left, truncated), mmdetection's ``rescale_size`` (half up).
    """
    if frame.rule == "stretch":
        scale = (size[0] / original[0], size[1] / original[1])
        return Placement(scale, (0.0, 0.0), size, (0, 0, *size), original)
    gain = min(size[0] / original[0], size[1] / original[1])
    gain = gain if frame.upscale else min(gain, 1.0)
    inner = [_rounded(side * gain, frame.rounding) for side in original]
    if min(inner) < 1:
        raise InputError(
            f"an image of {original[1]} x {original[0]} pixels vanishes in an input of {size[1]} x"
            f" {size[0]}; leave it out"
        )
    place = [
        (whole - side) // 2 if frame.place == "centre" else 0
        for whole, side in zip(size, inner, strict=True)
    ]
    sides = (inner[0] / original[0], inner[1] / original[1])
    return Placement(
        (gain, gain) if frame.ratio else sides,
        (float(place[0]), float(place[1])),
        size,
        (place[0], place[1], place[0] + inner[0], place[1] + inner[1]),
        original,
    )


def _rounded(value: float, rounding: str) -> int:
    return {"half_even": round(value), "truncate": int(value), "half_up": int(value + 0.5)}[
        rounding
    ]
