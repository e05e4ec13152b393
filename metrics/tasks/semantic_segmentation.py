"""Semantic segmentation: overlap of classes over all pixels of all samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.metrics.evaluation.contributions import Contributions
from portproof.metrics.tasks import Contribution, Figure, shares
from portproof.metrics.truth import Truth
from portproof.metrics.truth.pixel_files import Mask, read_masks

PREDICTION = "label_map"
FIGURES = (
    Figure("mIoU", chance=0.0),
    Figure("mDice", chance=0.0),
    Figure("pixel_accuracy"),
    Figure("mean_accuracy", chance=0.0),
)
#: As a mask of 16 bits has them.
_MOST_CLASSES = 1 << 16


def read_truth(path: Path) -> Truth:
    """A folder of PNG masks; see :func:`portproof.metrics.truth.pixel_files.read_masks`."""
    return read_masks(path)


def contribution(prediction: NDArray[np.int64], truth: Mask) -> Contribution:
    """For each class of the prediction or the truth: its id, and the pixels that both say, that the
    prediction says and that the truth says. Pixels that the truth ignores are in none.
    """
    if prediction.shape != truth.ids.shape:
        size, wanted = prediction.shape[::-1], truth.ids.shape[::-1]
        raise InputError(
            f"the prediction has {' x '.join(map(str, size))} pixels and the mask"
            f" {' x '.join(map(str, wanted))}; bring it to the size of the original image"
        )
    judged = truth.ids != truth.ignore
    said, true = prediction[judged], truth.ids[judged]
    if truth.classes and true.size and int(true.max()) >= truth.classes:
        raise InputError(
            f"the mask has the class {int(true.max())}, and the truth has {truth.classes} classes,"
            " from 0; correct the masks, or 'ignore' and 'classes' in their truth.yaml"
        )
    if said.size and not 0 <= int(said.min()) <= int(said.max()) < _MOST_CLASSES:
        raise InputError(
            f"the prediction has classes from {said.min()} to {said.max()}, from 0 to"
            f" {_MOST_CLASSES - 1} were expected; is the output one of ids?"
        )
    groups = (said[said == true], said, true)
    highest = np.concatenate([said, true]).max(initial=-1)
    count = int(highest) + 1
    pixels = np.stack([np.bincount(group, minlength=count) for group in groups], axis=1)
    classes = np.flatnonzero(pixels.any(axis=1))
    return {"class": classes.astype(np.int64), "pixels": pixels[classes].astype(np.int64)}


def figures(contributions: Contributions, counts: NDArray[Any]) -> dict[str, float | None]:
    """Means over the classes that occur in truth or predictions (``mIoU``, ``mDice``), or in the
    truth (``mean_accuracy``); Dice of a class is 2 i / (p + t), IoU is i / (p + t - i).
    """
    both, said, true = _totals(contributions, counts).T
    union, occurs = said + true - both, true > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "mIoU": _mean((both / union)[union > 0]),
            "mDice": _mean((2 * both / (said + true))[union > 0]),
            "pixel_accuracy": float(both.sum() / true.sum()) if true.sum() else None,
            "mean_accuracy": _mean((both / true)[occurs]),
        }


def stakes(name: str, contributions: Contributions) -> NDArray[np.float64]:
    """A sample's pixels of a class over all there are of it, meaned over the classes; for the
    accuracy of pixels its share of all pixels.
    """
    true = contributions.rows("pixels")[:, 2].astype(np.float64)
    owners, size = contributions.owners("class"), len(contributions)
    if name == "pixel_accuracy":
        return shares(np.bincount(owners, true, size))
    place, classes = _places(contributions)
    total = np.bincount(place, true, classes)
    return shares(np.bincount(owners, true / np.maximum(total[place], 1.0), size))


def chance(name: str, contributions: Contributions) -> float | None:
    """The accuracy of pixels of the commonest class; a mean over classes has nothing to guess."""
    if name != "pixel_accuracy":
        return 0.0
    place, classes = _places(contributions)
    total = np.bincount(place, contributions.rows("pixels")[:, 2], classes)
    return float(total.max() / total.sum()) if total.sum() else None


def _places(found: Contributions) -> tuple[NDArray[np.int64], int]:
    """For each row the place of its class among those that occur, and how many these are."""

    def make() -> tuple[NDArray[np.int64], int]:
        classes, place = np.unique(found.rows("class"), return_inverse=True)
        return place.astype(np.int64), len(classes)

    return found.once("places", make)


def _totals(found: Contributions, counts: NDArray[Any]) -> NDArray[np.float64]:
    """The pixels of each class (both, prediction, truth) over all samples."""
    place, classes = _places(found)
    weights = np.asarray(counts, np.float64)[found.owners("class")]
    pixels = found.rows("pixels")
    return np.stack([np.bincount(place, weights * pixels[:, k], classes) for k in range(3)], axis=1)


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if values.size else None
